"""The conditions of the stress suite, each declared once: how it differs from a usual scan of a thigh."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from spokestream.errors import InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT
from spokestream.models.datasets.data_settings import DataSettings

__all__ = ["STRESS", "StressCondition", "chosen"]

FIRST_SEED = 5000
"""Number of the first subject; no network of this software was trained on it or on later ones."""
MATRIX = 350
"""Pixels along each axis, where neither the condition nor the user says otherwise."""


@dataclass(frozen=True)
class StressCondition:
    """One condition: its name, which is that of its folder, what it is in words, and its settings."""

    name: str
    words: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the set that are not the default ones."""

    def data_settings(self, subjects: int, slices: int, matrix: int = MATRIX, images: str = ADJOINT) -> DataSettings:
        """The settings of the set, whose delays are corrected as in the pipeline.

        Args:
            subjects: number of subjects.
            slices: slices of each subject.
            matrix: pixels along each axis. A condition with another matrix than 350 gets the same fraction of this one.
            images: `adjoint` or `iterative`.

        Raises InputError for numbers that are not allowed.

        """
        own = dict(self.settings)
        pixels = round(own.pop("matrix", MATRIX) * matrix / MATRIX)
        return DataSettings(
            subjects=subjects, first_seed=FIRST_SEED, slices=slices, matrix=pixels, path="full", images=images,
            delay_correction="auto", **own,
        )  # fmt: skip


STRESS = (
    StressCondition("default", "thighs of patients, noise .05 to .2, 8 to 24 coils, gradient delays up to .3 samples"),
    StressCondition("no-noise", "no noise", {"noise": (0.0, 0.0)}),
    StressCondition("twice-noise", "twice the noise, .1 to .4", {"noise": (0.1, 0.4)}),
    StressCondition("texture", "water T1, fat fraction and fat T1 with texture at every scale", {"change": "texture"}),
    StressCondition("oedema", "focal oedema: regions whose water T1 is 400 ms longer", {"change": "oedema"}),
    StressCondition("low-b1", "B1 of .35 to .5", {"change": "low-b1"}),
    StressCondition("off-resonance", "off-resonance of 60 to 120 Hz", {"change": "off-resonance"}),
    StressCondition("vessels", "small vessels, each in a rim of fat", {"change": "vessels"}),
    StressCondition("inversion", "inversion efficiency of .85", {"inversion_efficiency": (0.85, 0.85)}),
    StressCondition("delays", "gradient delays up to .5 samples", {"delays": 0.5}),
    StressCondition("adjusted-timing", "the adjusted timing of the same sequence", {"sequence": "t1ff-2d-1400-adj"}),
    StressCondition(
        "own-train",
        "a train of another design, from a TOML file",
        {"sequence": str(files("spokestream.models.evaluation.suite") / "own_train.toml")},
    ),
    *(StressCondition(a, f"the {a} instead of the thigh", {"anatomies": a}) for a in (
        "calf", "shoulder", "pelvis", "abdomen",
    )),
    StressCondition("coils-8", "8 coils", {"coils": (8, 8)}),
    StressCondition("coils-34", "34 coils", {"coils": (34, 34)}),
    StressCondition("coarse-pixels", "256 pixels instead of 350 across the same field of view", {"matrix": 256}),
    StressCondition("fine-pixels", "384 pixels instead of 350 across the same field of view", {"matrix": 384}),
)  # fmt: skip
"""All conditions, in the order of the report. What a condition does not name is as in `default`."""


def chosen(names: Sequence[str]) -> tuple[StressCondition, ...]:
    """The conditions with these names, in the order of `STRESS`; all if no name is given.

    Raises InputError for an unknown name.
    """
    known = [condition.name for condition in STRESS]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"There is no condition '{unknown[0]}'; there are {', '.join(known)}.")
    return tuple(condition for condition in STRESS if not names or condition.name in names)
