"""The files of a training run: a checkpoint from which it continues bit for bit, and its best weights."""

from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from torch import Tensor

from spokestream.errors import FileError
from spokestream.whole_files import whole_file

__all__ = ["Best", "Progress", "read_best", "read_progress", "write_best", "write_progress"]

PROGRESS, BEST = "checkpoint.pt", "best.pt"


@dataclass(frozen=True)
class Progress:
    """The state of a run."""

    about: dict[str, Any]
    """Settings and data of the run, which identify it."""
    weights: dict[str, Tensor]
    optimiser: dict[str, Any]
    random_states: list[Tensor]
    """States of torch's generators, which dropout draws from: the processor's, then the GPU's if there is one."""
    epoch: int
    batch: int
    """Number of the next batch in the epoch."""
    best_nrmse: float
    loss: float
    """Smoothed over the last batches."""
    seconds: float
    """Training time so far, over all calls."""


@dataclass(frozen=True)
class Best:
    """The weights of a run with the smallest error on its validation subjects."""

    about: dict[str, Any]
    """Settings and data of the run."""
    weights: dict[str, Tensor]
    epoch: int
    """Number of epochs before these weights."""
    nrmse: dict[str, float]
    """Map name -> normalised error over the validation subjects."""
    seconds: float
    arithmetic: dict[str, Any] = field(default_factory=dict)
    """Precision, device and number of processes; the last bits of the weights depend on them."""


def write_progress(folder: Path, progress: Progress) -> None:
    """Replace the last checkpoint, completely or not at all."""
    _write(folder / PROGRESS, progress)


def write_best(folder: Path, best: Best) -> None:
    """Replace the best weights so far, completely or not at all."""
    _write(folder / BEST, best)


def read_progress(folder: Path) -> Progress | None:
    """The last checkpoint, if there is one. Raises FileError for a file that is not a checkpoint."""
    return _read(folder / PROGRESS, Progress) if (folder / PROGRESS).exists() else None


def read_best(folder: Path) -> Best:
    """The best weights of a run. Raises FileError for a folder without them, and for a damaged file."""
    if not (folder / BEST).exists():
        raise FileError(f"{folder} holds no trained network; train one with 'spokestream train'.")
    return _read(folder / BEST, Best)


State = TypeVar("State", Progress, Best)


def _write(path: Path, state: Progress | Best) -> None:
    with whole_file(path) as draft:
        torch.save(vars(state), draft)


def _read(path: Path, kind: type[State]) -> State:
    try:
        return kind(**torch.load(path, "cpu", weights_only=True))
    except (RuntimeError, UnpicklingError, EOFError, TypeError):
        raise FileError(f"{path} is damaged, or was written by another version; move it away.") from None
