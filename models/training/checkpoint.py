"""What a training run keeps on disk: all that it needs to go on bit for bit, and its best weights."""

from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from torch import Tensor

from spokestream.errors import FileError
from spokestream.models.atomic_write import atomic_write

__all__ = ["Best", "Progress", "read_best", "read_progress", "write_best", "write_progress"]

PROGRESS, BEST = "checkpoint.pt", "best.pt"


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    about: dict[str, Any]
    """Settings and data of the run, which tell it from others."""
    weights: dict[str, Tensor]
    optimiser: dict[str, Any]
    random_states: list[Tensor]
    """Of torch's generators, which dropout draws from: the processor's, then the GPU's if there is one."""
    epoch: int
    batch: int
    """The next one."""
    best_nrmse: float
    loss: float
    """Smoothed over the last batches."""
    seconds: float
    """Spent so far, in all calls."""


@dataclass(frozen=True)
class Best:
    """The weights of a run that did best on its validation subjects."""

    about: dict[str, Any]
    """Settings and data of the run."""
    weights: dict[str, Tensor]
    epoch: int
    """After how many."""
    nrmse: dict[str, float]
    """By map, over the validation subjects."""
    seconds: float
    arithmetic: dict[str, Any] = field(default_factory=dict)
    """Precision, device and number of processes, on which the last bits depend."""


def write_progress(folder: Path, progress: Progress) -> None:
    """Take the place of the last checkpoint, all of it or nothing."""
    _write(folder / PROGRESS, progress)


def write_best(folder: Path, best: Best) -> None:
    """Take the place of the best weights so far, all of them or nothing."""
    _write(folder / BEST, best)


def read_progress(folder: Path) -> Progress | None:
    """The last checkpoint, if there is one. Raises FileError for a file that is none."""
    return _read(folder / PROGRESS, Progress) if (folder / PROGRESS).exists() else None


def read_best(folder: Path) -> Best:
    """The best weights. Raises FileError for a folder without any, and a file that holds none."""
    if not (folder / BEST).exists():
        raise FileError(f"{folder} holds no trained network; train one with 'spokestream train'.")
    return _read(folder / BEST, Best)


State = TypeVar("State", Progress, Best)


def _write(path: Path, state: Progress | Best) -> None:
    with atomic_write(path) as draft:
        torch.save(vars(state), draft)


def _read(path: Path, kind: type[State]) -> State:
    try:
        return kind(**torch.load(path, "cpu", weights_only=True))
    except (RuntimeError, UnpicklingError, EOFError, TypeError):
        raise FileError(f"{path} is damaged, or not of this version; move it away.") from None
