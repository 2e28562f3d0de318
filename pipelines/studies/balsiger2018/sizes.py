"""The sizes of the study of Balsiger 2018, and how its networks are trained."""

from dataclasses import dataclass
from typing import Any

from spokestream.models.training.training_settings import TrainingSettings

__all__ = ["MATCHERS", "PROPOSED", "Sizes", "training", "training_step"]

PROPOSED = "balsiger2018"
"""The network of the paper; the others see single voxels."""
MATCHERS = {"matching": "exact", "Gomez": "spatiotemporal"}
"""Method of the tables -> the matcher that it is here."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of the study."""

    matrix: int
    coils: int
    subjects: int
    """Subjects, each of which is left out once."""
    slices: int
    """Slices of each subject."""
    stride: int
    """Readouts from one window to the next."""
    networks: tuple[str, ...]
    """The networks that are trained."""
    epochs: int = 0
    """Epochs of all networks, with a cosine decay of the learning rate; 0 stands for the training of each paper."""
    learning_rate: float = 0
    """The rate of the proposed network; the others have that of their papers. It was chosen on other subjects."""
    patch: int = 0
    """Side in pixels of the patches that the proposed network predicts."""
    per_slice: int = 0
    """Patches of a slice and an epoch."""
    batch: int = 0
    """Patches of a step."""
    voxels: int = 0
    """Voxels of a slice and an epoch, and of a step, for the networks of single voxels."""


def training_step(network: str, fold: int) -> str:
    """The name of the step that trains a network without one subject."""
    return f"{network}-{fold}"


def training(sizes: Sizes, network: str, seed: int) -> TrainingSettings:
    """How a network is trained."""
    common: dict[str, Any] = {"network": network, "seed": seed, "validation": 1}
    if not sizes.epochs:
        return TrainingSettings(**common)
    patches: dict[str, Any] = (
        {
            "learning_rate": sizes.learning_rate, "patch": sizes.patch, "per_slice": sizes.per_slice,
            "batch": sizes.batch,
        }
        if network == PROPOSED
        else {"patch": 1, "per_slice": sizes.voxels, "batch": sizes.voxels}
    )  # fmt: skip
    return TrainingSettings(epochs=sizes.epochs, decay="cosine", **patches, **common)
