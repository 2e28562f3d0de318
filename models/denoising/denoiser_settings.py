"""The settings of a denoiser's training: the subjects whose evidence it learns from, and its size."""

from dataclasses import dataclass
from typing import Any

from spokestream.errors import InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.models.archives import MATCHING
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.settings import check_settings, setting
from spokestream.simulator.phantoms.rendering import DEFAULT_FOV_MM

__all__ = ["KINDS", "DenoiserSettings"]

POPULATION: dict[str, Any] = {
    "slices": 1,
    "path": "full",
    "delay_correction": "auto",
    "anatomies": "thigh,thigh,thigh,calf,shoulder,pelvis,abdomen",
    "change": "none,none,none,texture,oedema,any-fields,any-fields,vessels",
    "inversion_efficiency": (0.85, 1.0),
}
"""The subjects: half of them as patients are, the others with what a network is not sure of by itself."""


KINDS = (MATCHING, "network")
"""The first maps of a slice."""


@dataclass(frozen=True)
class DenoiserSettings:
    """The training of a denoiser. Raises InputError, in one sentence, for what cannot be."""

    subjects: int = setting(220, meaning="Subjects, of one slice each.", low=2, high=100_000)
    first_seed: int = setting(200_000, meaning="Number of the first subject; the others follow.", low=0, high=2**31)
    validation: int = setting(10, meaning="Subjects at the start of the set that are held out.", low=1, high=10_000)
    matrix: int = setting(350, meaning="Image matrix along x and y.", unit="pixels", low=32, high=1024)
    epochs: int = setting(40, meaning="Number of passes over the slices.", low=1, high=10_000)
    width: int = setting(64, meaning="Channels of the residual blocks.", low=8, high=512)
    blocks: int = setting(6, meaning="Residual blocks; each sees one pixel further.", low=1, high=20)
    seed: int = setting(0, meaning="Seed of the first weights and of all other random numbers.", low=0, high=2**31)
    first_maps: str = setting(MATCHING, meaning="First maps that it denoises.", choices=(*KINDS, "both"))
    images: str = setting(CONSISTENT, meaning="Images in which these maps were refined.", choices=(CONSISTENT, ADJOINT))
    network: str = setting("ours", meaning="Network of the first maps of that kind.")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.images == ADJOINT and self.first_maps != MATCHING:
            raise InputError("Maps of a network are refined in consistent images; leave out images or first_maps.")
        if self.validation >= self.subjects:
            raise InputError(
                f"Of {self.subjects} subjects, {self.validation} cannot be held out; leave some to learn from."
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of first maps that it denoises."""
        return KINDS if self.first_maps == "both" else (self.first_maps,)

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """The smallest and the largest pixels of the subjects."""
        sizes = [DEFAULT_FOV_MM[anatomy] / self.matrix for anatomy in POPULATION["anatomies"].split(",")]
        return min(sizes), max(sizes)

    @property
    def data(self) -> DataSettings:
        """How the subjects are scanned."""
        return DataSettings(subjects=self.subjects, first_seed=self.first_seed, matrix=self.matrix, **POPULATION)
