"""Every network that can be trained, with the settings of its paper."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial, update_wrapper
from typing import Any

from spokestream.errors import InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, ITERATIVE
from spokestream.models.networks.balsiger2018 import Balsiger2018
from spokestream.models.networks.balsiger2020 import Balsiger2020
from spokestream.models.networks.cohen2018 import Cohen2018, Drone
from spokestream.models.networks.fang2019 import Fang2019, FeaturesOnly, Pretraining, SpatialOnly
from spokestream.models.networks.hoppe2017 import Hoppe2017
from spokestream.models.networks.layers import Network
from spokestream.models.networks.oksuz2019 import Oksuz2019
from spokestream.models.networks.ours import Ours, ours_of_size
from spokestream.models.networks.song2019 import Song2019
from spokestream.models.training.inputs.normalisation import (
    CoefficientRms,
    EvenCoefficients,
    EvenIterativeCoefficients,
    FrameEnergy,
    FrameMagnitude,
    FrameZScore,
    Normalisation,
    UnitCoefficients,
)
from spokestream.models.training.losses import (
    Loss,
    absolute_difference,
    gaussian_likelihood,
    mean_squared,
    relative_difference,
    root_mean_squared,
)
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, TissueModel

__all__ = ["RECIPES", "Recipe", "recipe", "trained_parameters"]


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained."""

    source: str
    """Paper, or page of this software."""
    build: Callable[[int, int], Network]
    """Makes the network, given the number of images and of maps."""
    normalisation: type[Normalisation]
    loss: Loss
    learning_rate: float
    epochs: int
    patch: int
    """Pixels of a side that leave the network; 1 for networks that see single fingerprints."""
    per_slice: int
    """Patches that are taken of a slice in an epoch."""
    batch: int
    """Patches of a step."""
    decay: str = "none"
    """How the learning rate falls, one of `DECAYS`."""
    first_step: Callable[[Any], Network] | None = None
    """What a two-step training trains first, sharing layers with the network."""
    first_epochs: int = 0
    """Epochs of the first step."""
    with_std: bool = False
    """Whether it predicts standard deviations."""
    conditioned: bool = False
    """Whether it is conditioned on the inversion efficiency, which is estimated from the maps of all parameters."""
    by_value: bool = False
    """Whether errors of T1 are weighted by T1, see `targets`."""
    largest_gradient: float = float("inf")
    """Norm to which gradients are clipped."""

    @property
    def words(self) -> dict[str, Any]:
        """All fields as numbers and names, which identify a run."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: getattr(value, "__name__", value) for name, value in values.items()}

    def make(self, basis: TemporalBasis, sequence: PulseSequence, n_maps: int) -> tuple[Normalisation, Network]:
        """The normalisation from coefficients of the basis to the network's channels, and the untrained network."""
        normalisation = self.normalisation.of(basis, sequence)
        return normalisation, self.build(normalisation.n_images, n_maps)


RECIPES: dict[str, Recipe] = {
    "ours": Recipe(
        "docs/networks.md", Ours, CoefficientRms, gaussian_likelihood,
        learning_rate=2e-3, epochs=24, patch=64, per_slice=4, batch=16, decay="cosine", with_std=True,
        conditioned=True, by_value=True, largest_gradient=1.0,
    ),
    "balsiger2020": Recipe(
        "Balsiger et al., Med Image Anal 64 (2020) 101741", Balsiger2020, FrameZScore, mean_squared,
        learning_rate=1e-3, epochs=75, patch=32, per_slice=20, batch=20,
    ),
    "balsiger2018": Recipe(
        "Balsiger et al., MLMIR 2018, LNCS 11074, 39-46", Balsiger2018, FrameZScore, mean_squared,
        learning_rate=1e-3, epochs=50, patch=5, per_slice=600, batch=600,
    ),
    "fang2019": Recipe(
        "Fang et al., IEEE Trans Med Imaging 38 (2019) 2364", Fang2019, FrameEnergy, relative_difference,
        learning_rate=1e-3, epochs=75, patch=64, per_slice=4, batch=16, first_step=Pretraining, first_epochs=5,
    ),
    "cohen2018": Recipe(
        "Cohen et al., Magn Reson Med 80 (2018) 885", Cohen2018, FrameEnergy, mean_squared,
        learning_rate=1e-3, epochs=75, patch=1, per_slice=2000, batch=4000,
    ),
    "hoppe2017": Recipe(
        "Hoppe et al., Stud Health Technol Inform 243 (2017) 202", Hoppe2017, FrameEnergy, mean_squared,
        learning_rate=1e-3, epochs=75, patch=1, per_slice=2000, batch=4000,
    ),
    "oksuz2019": Recipe(
        "Oksuz et al., ISBI 2019", Oksuz2019, FrameEnergy, mean_squared,
        learning_rate=1e-3, epochs=75, patch=1, per_slice=2000, batch=4000,
    ),
    "song2019": Recipe(
        "Song et al., Med Phys 46 (2019) 4951", Song2019, FrameEnergy, root_mean_squared,
        learning_rate=1e-2, epochs=50, patch=1, per_slice=2000, batch=4000, decay="tenfold",
    ),
    "drone": Recipe(
        "Cohen et al., Magn Reson Med 80 (2018) 885, magnitudes", Drone, FrameMagnitude, mean_squared,
        learning_rate=1e-3, epochs=1000, patch=1, per_slice=2000, batch=4000,
    ),
}  # fmt: skip
"""Recipes by name. Where a paper is silent, batches and patches are ours."""


EVEN: dict[str, type[Normalisation]] = {ADJOINT: EvenCoefficients, ITERATIVE: EvenIterativeCoefficients}
"""The normalisation of `ours` for the coefficients of one pool, by the images of the training set."""


def trained_parameters(settings: TrainingSettings, model: TissueModel) -> tuple[Parameter, ...]:
    """The parameters of a tissue model that a run trains, in the model's order.

    Raises InputError for a map that is no parameter of the model.
    """
    names = settings.maps.split(",") if settings.maps else model.names
    if unknown := [name for name in names if name not in model.names]:
        raise InputError(f"There is no map '{unknown[0][:40]}' to train; there are {', '.join(model.names)}.")
    return tuple(parameter for parameter in model.parameters if parameter.name in names)


def recipe(settings: TrainingSettings, model: TissueModel, images: str = ADJOINT) -> Recipe:
    """The recipe of a run's network, with what the settings change.

    Args:
        settings: of the run.
        model: the tissue model of the training set.
        images: the images of the training set, `adjoint` or `iterative`.

    Coefficients of one pool are scaled to even sizes. The relative difference of maps on logarithmic scales is the
    difference there.

    Raises InputError for a network without the maps that it needs, an architecture that it does not have, a first step
    where there is none, and a run that ends before its second one.
    """
    published = RECIPES[settings.network]
    known = {f.name for f in fields(published)}
    asked = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name in known}
    default = {f.name: f.default for f in fields(settings)}
    chosen = replace(published, **{name: value for name, value in asked.items() if value != default[name]})
    if chosen.normalisation is CoefficientRms and not model.fraction:
        chosen = replace(chosen, normalisation=EVEN[images])
    if settings.receptive_field or settings.parameters:
        chosen = replace(chosen, build=_sized(settings))
    if settings.variant != "paper" or settings.features:
        chosen = _variant(settings, chosen)
    trained = trained_parameters(settings, model)
    if chosen.loss is relative_difference and all(parameter.logarithmic for parameter in trained):
        chosen = replace(chosen, loss=absolute_difference)
    lacking = [parameter.name for parameter in model.parameters if parameter not in trained]
    if chosen.conditioned and lacking:
        raise InputError(
            f"{settings.network} is conditioned on the inversion efficiency, which is estimated from all parameters; "
            f"the maps to train lack {', '.join(lacking)}."
        )
    if settings.first_epochs and chosen.first_step is None:
        raise InputError(f"{settings.network} is trained in one step; it has no epochs of a first one.")
    if chosen.first_epochs >= chosen.epochs:
        raise InputError(
            f"{settings.network} trains its features alone for {chosen.first_epochs} epochs; a run takes more than "
            f"those, not {chosen.epochs}."
        )
    return chosen


def _sized(settings: TrainingSettings) -> Callable[[int, int], Network]:
    """Our network, or that of Balsiger et al. 2020 (its Fig. 6), with another receptive field or size."""
    builders: dict[str, Callable[..., Network]] = {"ours": ours_of_size, "balsiger2020": Balsiger2020}
    if settings.network not in builders:
        raise InputError(
            f"The receptive field and the number of parameters can be chosen for {' and '.join(builders)}, not for "
            f"{settings.network}."
        )
    sizes = {"receptive_field": settings.receptive_field, "n_parameters": settings.parameters}
    return _named(builders[settings.network], **{name: size for name, size in sizes.items() if size is not None})


def _variant(settings: TrainingSettings, published: Recipe) -> Recipe:
    """The recipe of Fang et al. 2019 with another number of features, or for another of `VARIANTS`."""
    if settings.network != "fang2019":
        raise InputError(
            f"The variant and the number of features can be chosen for fang2019, not for {settings.network}."
        )
    n = {} if settings.features is None else {"n_features": settings.features}
    if settings.variant == "magnitude":
        return replace(published, build=_named(Fang2019, parts=1, **n), normalisation=FrameMagnitude)
    if settings.variant == "paper":
        return replace(published, build=_named(Fang2019, **n))
    one_step = replace(published, first_step=None, first_epochs=0)
    if settings.variant == "features":
        return replace(one_step, build=_named(FeaturesOnly, **n))
    if settings.variant == "vectors":
        seen = _named(SpatialOnly, n_seen=settings.features)
        return replace(one_step, build=seen, normalisation=UnitCoefficients)
    if settings.features:
        raise InputError("The U-Net alone has no features; leave out --features, or choose another variant.")
    return replace(one_step, build=SpatialOnly)


def _named(network: Callable[..., Network], **chosen: Any) -> Callable[[int, int], Network]:
    """A function that builds a network with these arguments, under the name of the network."""
    return update_wrapper(partial(network, **chosen), network)
