"""The sizes of the study, and the networks that are trained in it."""

from dataclasses import dataclass
from typing import Any

from spokestream.errors import InputError
from spokestream.models.networks.balsiger2020 import architecture
from spokestream.models.training.training_settings import TrainingSettings

__all__ = ["PROPOSED", "SEQUENCE", "Sizes", "designs", "draws", "trainings"]

SEQUENCE = "t1ff-2d-1400"
FRAMES, MAPS, NONLINEARITIES = 175, 5, 21
"""Frames of the sequence, parameters of its tissue, and layers of the paper's network."""
PROPOSED = "balsiger2020"
SHORT: dict[str, dict[str, Any]] = {
    PROPOSED: {"patch": 16, "per_slice": 4, "batch": 4},
    "fang2019": {"patch": 32, "per_slice": 2, "batch": 2},
    "cohen2018": {"per_slice": 1000, "batch": 1000},
    "hoppe2017": {"per_slice": 1000, "batch": 1000},
    "oksuz2019": {"per_slice": 500, "batch": 500},
}
"""The patches of a short training, of which one slice fills a batch; a long training has the patches of the paper."""
FIRST_EPOCHS = 1 / 15
"""Fraction of the epochs in which the features of Fang 2019 are trained alone, 5 of 75 by default."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of the study."""

    matrix: int
    coils: int
    slices: int
    """Slices of each subject."""
    anatomies: str
    """Anatomies of the subjects for training and test, with commas."""
    subjects: int
    """Subjects to train on."""
    validation: int
    """Subjects by which the best epoch is chosen."""
    tested: int
    """Subjects of the test."""
    unseen: tuple[str, ...]
    """Anatomies that no network was trained on."""
    subjects_unseen: int
    """Subjects of each unseen anatomy."""
    networks: tuple[str, ...]
    """Networks that are compared in Table 2."""
    steps: int
    """Steps of the optimiser in every training; 0 stands for the number of epochs of the paper."""
    receptive_field: int
    """Side in pixels of the patch that the proposed network sees, except in Fig. 6."""
    parameters: int
    """Parameters of the proposed network, except in Fig. 6."""
    receptive_fields: tuple[int, ...]
    """Receptive fields of Fig. 6."""
    capacities: tuple[int, ...]
    """Numbers of parameters of Fig. 6."""
    fewer: tuple[int, ...]
    """Smaller numbers of subjects to train on, in Fig. 8."""
    draws: int
    """Random choices of each smaller number of subjects."""
    frame_step: int
    """Every how many frames one is permuted, in Fig. 7."""


def designs(sizes: Sizes) -> dict[tuple[int, int], str]:
    """Receptive field and number of parameters -> name of the network, for all pairs that Algorithm 1 can build."""
    found = {}
    for field in sizes.receptive_fields:
        for parameters in sizes.capacities:
            try:
                architecture(field, parameters, NONLINEARITIES, FRAMES, MAPS)
            except InputError:
                continue
            usual = (field, parameters) == (sizes.receptive_field, sizes.parameters)
            found[field, parameters] = f"{PROPOSED}-matching" if usual else f"field-{field}-{parameters}"
    return found


def draws(sizes: Sizes) -> dict[int, list[str]]:
    """Number of subjects -> names of the networks that were trained on so many."""
    fewer = {number: [f"subjects-{number}-{draw}" for draw in range(sizes.draws)] for number in sizes.fewer}
    return fewer | {sizes.subjects: [f"{PROPOSED}-matching"]}


def trainings(sizes: Sizes, seed: int) -> dict[str, TrainingSettings]:
    """How each network of the study is trained, by its name."""
    sized = {"receptive_field": sizes.receptive_field, "parameters": sizes.parameters}
    changes: dict[str, dict[str, Any]] = {}
    for network in sizes.networks:
        for targets in ("matching", "truth"):
            more = sized if network == PROPOSED else {}
            changes[f"{network}-{targets}"] = {"network": network, "targets": targets} | more
    usual = changes[f"{PROPOSED}-matching"]
    for (field, parameters), name in designs(sizes).items():
        changes.setdefault(name, usual | {"receptive_field": field, "parameters": parameters})
    for number in sizes.fewer:
        for draw, name in enumerate(draws(sizes)[number]):
            changes[name] = usual | {"subjects": number, "draw": draw}
    return {name: _settings(sizes, seed, of_network) for name, of_network in changes.items()}


def _settings(sizes: Sizes, seed: int, changes: dict[str, Any]) -> TrainingSettings:
    common = {"seed": seed, "validation": sizes.validation} | changes
    if not sizes.steps:
        return TrainingSettings(**common)
    slices = changes.get("subjects", sizes.subjects) * sizes.slices  # as many batches in an epoch, see `SHORT`
    epochs = max(2, round(sizes.steps / slices))
    first: dict[str, Any] = (
        {"first_epochs": max(1, round(epochs * FIRST_EPOCHS))} if changes["network"] == "fang2019" else {}
    )
    return TrainingSettings(epochs=epochs, decay="cosine", **SHORT[changes["network"]], **first, **common)
