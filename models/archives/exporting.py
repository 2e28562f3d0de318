"""From a training run to an archive that runs without this package's networks."""

import platform
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spokestream import __version__
from spokestream.gadgets.network.archive import load_archive, save_archive
from spokestream.gadgets.network.channels import interleaved
from spokestream.gadgets.network.contract import Contract, Output, Where
from spokestream.models.atomic_write import draft_of
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.networks.fold import fold_batch_norm
from spokestream.models.networks.layers import Network
from spokestream.models.training.checkpoint import Best, read_best
from spokestream.models.training.inputs.normalisation import Normalisation
from spokestream.models.training.map_ranges import ABSENT, MapRange
from spokestream.models.training.recipes import recipe
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.models.training.validation import predict

__all__ = ["export"]

TOLERANCE = 1e-4
"""Of a map's range: largest difference between archive and network, which fold their layers differently."""
TILE = 128


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
        data: folder of the training set that it learnt from.
        archive: file to write.
        name: by which pipelines and reports call it; the network's by default.

    Returns:
        The contract, and the largest difference between the archive's outputs and the network's, on random
        input and on a slice of a validation subject, in units of the maps' ranges.

    Raises ValueError for a folder without a trained network, other data, and an archive that differs.

    """
    best = read_best(run)
    settings = TrainingSettings(**best.about["settings"])
    method = recipe(settings)
    held_out = TrainingSet(data, best.about["data"]["validated"])
    if any(best.about["data"].get(name) != value for name, value in held_out.identity.items()):
        raise ValueError(f"{data} is not the training set that {run} learnt from.")
    normalisation, network = method.make(held_out.basis, held_out.sequence, len(settings.ranges))
    network.load_state_dict(best.weights)
    network.eval()
    low, high = held_out.recipe["inversion_efficiency"]
    contract = Contract(
        name=name or settings.network,
        description=method.source,
        sequence=held_out.sequence,
        basis=held_out.basis,
        normalisation=normalisation.words,
        channels=network.channels,
        border=network.border,
        step=network.step,
        tile=TILE,
        efficiency=(low, high) if method.told else None,
        demodulation_hz=float(held_out.recipe["demodulation_hz"]),
        outputs=tuple(_output(m, settings.ranges, method.with_std) for m in settings.ranges),
        training=_training(best, settings, held_out),
        metrics={"validation NRMSE": best.nrmse, "validation subjects": len(held_out.seeds)},
        versions={"spokestream": __version__, "torch": torch.__version__, "python": platform.python_version()},
    )
    scripted = torch.jit.script(Archived(fold_batch_norm(network), normalisation).eval())
    with draft_of(archive) as draft:
        save_archive(draft, scripted, contract)
        difference = _difference(draft, network, normalisation, held_out)
    return contract, difference


def _output(map_: MapRange, ranges: tuple[MapRange, ...], with_std: bool) -> Output:
    names = {m.name for m in ranges}
    where = {"water": Where("ff", below=1 - ABSENT), "fat": Where("ff", above=ABSENT)}.get(map_.pool)
    return Output(map_.name, map_.low, map_.high, with_std, where if "ff" in names else None)


def _training(best: Best, settings: TrainingSettings, data: TrainingSet) -> dict[str, Any]:
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


def _difference(archive: Path, network: Network, normalisation: Normalisation, data: TrainingSet) -> float:
    """Largest difference between the file's outputs and the network's.

    Raises ValueError where it matters, and where there is an output that is not a number.
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
        raise ValueError(f"The archive's outputs differ from the network's by {worst:.2g} of a map's range.")
    return worst
