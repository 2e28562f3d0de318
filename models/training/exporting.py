"""From a training run to an archive that runs without this package's networks."""

import platform
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spokestream import __version__
from spokestream.errors import FileError
from spokestream.gadgets.network.archive import load_archive, save_archive
from spokestream.gadgets.network.contract import Contract, Output
from spokestream.gadgets.network.network_input import interleaved
from spokestream.models.datasets.atoms import AtomSet
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.networks.fold import fold_batch_norm
from spokestream.models.networks.layers import Network
from spokestream.models.training.checkpoint import Best, read_best
from spokestream.models.training.inputs.normalisation import Normalisation
from spokestream.models.training.recipes import recipe, trained_parameters
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.models.training.validation import predict
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, TissueModel
from spokestream.whole_files import whole_file

__all__ = ["export"]

TOLERANCE = 1e-4
"""Largest difference between archive and network, which fold their layers differently, over a map's range."""
TILE = 128
"""Side of a tile in pixels; every tile takes the network's border in addition."""
BORDERLESS_TILE = 64
"""The same for networks that see single pixels, whose tiles cost nothing more: an image of 128 pixels then has four,
which run on several threads."""


class Archived(nn.Module):
    """What an archive holds: a network in evaluation mode and its normalisation."""

    def __init__(self, network: Network, normalisation: Normalisation) -> None:
        super().__init__()
        self.network, self.normalisation = network, normalisation

    @torch.jit.export
    def normalise(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """(channels, y, x) of a slice's coefficients (2K, y, x) and foreground (y, x)."""
        channels: Tensor = self.normalisation(coefficients, foreground, efficiency)
        return channels

    def forward(self, patches: Tensor) -> Tensor:
        """(n, planes, h, w) of patches (n, channels, h + 2 border, w + 2 border)."""
        planes: Tensor = self.network(patches)
        return planes


def export(run: Path, data: Path, archive: Path, name: str | None = None) -> tuple[Contract, float]:
    """Write the best weights of a run as an archive, which appears when it was compared with the network.

    Args:
        run: folder of the training run.
        data: folder of the training set, or dictionary file, that it was trained on.
        archive: file to write.
        name: the name in pipelines and reports; the network's by default.

    Returns:
        The contract, and the largest difference between the archive's outputs and the network's, on random
        input and on a slice of a validation subject, in units of the maps' ranges.

    Raises FileError for a folder without a trained network, other data, and an archive that differs.

    """
    best = read_best(run)
    settings = TrainingSettings(**best.about["settings"])
    held_out = (
        AtomSet(data, held_out=True, noise=settings.noise)
        if data.is_file()
        else TrainingSet(data, best.about["data"]["validated"])
    )
    model = held_out.tissue_model
    method, parameters = recipe(settings, model, held_out.images), trained_parameters(settings, model)
    if any(best.about["data"].get(name) != value for name, value in held_out.identity.items()):
        raise FileError(f"{data} is not the training set that {run} was trained on.")
    normalisation, network = method.make(held_out.basis, held_out.sequence, len(parameters))
    network.load_state_dict(best.weights)
    network.eval()
    contract = Contract(
        name=name or settings.network,
        description=method.source,
        sequence=held_out.sequence,
        basis=held_out.basis,
        normalisation=normalisation.words,
        channels=network.channels,
        border=network.border,
        step=network.step,
        tile=TILE if network.border else BORDERLESS_TILE,
        efficiency=held_out.efficiencies if method.conditioned else None,
        pixel_mm=held_out.pixel_mm,
        images=held_out.images,
        demodulation_hz=held_out.demodulation_hz,
        tissue_model=model.name,
        outputs=_outputs(model, parameters, method.with_std),
        training=_training(best, settings, held_out),
        metrics={"validation NRMSE": best.nrmse, "validation subjects": len(held_out.seeds)},
        versions={"spokestream": __version__, "torch": torch.__version__, "python": platform.python_version()},
    )
    scripted = torch.jit.script(Archived(fold_batch_norm(network), normalisation).eval())
    with whole_file(archive) as draft:
        save_archive(draft, scripted, contract)
        difference = _difference(draft, network, normalisation, held_out)
    return contract, difference


def _outputs(model: TissueModel, parameters: tuple[Parameter, ...], with_std: bool) -> tuple[Output, ...]:
    """A map is valid where its pool is present, if the network gives the quantity that says so."""
    names = {parameter.name for parameter in parameters}
    outputs = []
    for parameter in parameters:
        where = model.presence(parameter.pool)
        known = where if where and where.quantity in names else None
        outputs.append(Output(parameter.name, parameter.low, parameter.high, with_std, known, parameter.logarithmic))
    return tuple(outputs)


def _training(best: Best, settings: TrainingSettings, data: TrainingSet | AtomSet) -> dict[str, Any]:
    changed = [
        f"--{f.name.replace('_', '-')} {getattr(settings, f.name)}"
        for f in fields(settings)
        if getattr(settings, f.name) != f.default or f.name == "network"
    ]
    learnt = best.about["data"]["learnt"]
    return {
        "command": f"spokestream train RUN DATA {' '.join(changed)}",
        "seed": settings.seed,
        "settings": asdict(settings),
        "data": data.recipe,
        "subjects": len(learnt),
        "slices": len(learnt) * int(data.recipe["slices"]),
        "learnt": learnt,
        "validated": best.about["data"]["validated"],
        "epochs": best.epoch,
        "hours": round(best.seconds / 3600, 2),
        "arithmetic": best.arithmetic,
    }


def _difference(archive: Path, network: Network, normalisation: Normalisation, data: TrainingSet | AtomSet) -> float:
    """Largest difference between the file's outputs and the network's.

    Raises FileError where it matters, and where there is an output that is not a number.
    """
    module = load_archive(archive).module
    item = data[len(data) // 2]
    coefficients, foreground = interleaved(item["fingerprints"]), item["foreground"]
    side = network.step * 8 + 2 * network.border
    random = torch.randn(2, network.channels, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        x = normalisation(coefficients, foreground, 0.97)
        pairs = [(module(random), network(random)), (module.normalise(coefficients, foreground, 0.97), x)]
        whole = [predict(either, x, network.border, network.step) for either in (module, network)]
        pairs.append((whole[0], whole[1]))
        worst = float(torch.stack([(a - b).abs().max() for a, b in pairs]).max())  # NaN if any of them is
    if not worst <= TOLERANCE:
        raise FileError(f"The archive's outputs differ from the network's by {worst:.2g} of a map's range.")
    return worst
