"""The curves of a training run for TensorBoard."""

from importlib import import_module
from pathlib import Path
from typing import Any

from spokestream.errors import InputError

__all__ = ["Board"]


class Board:
    """TensorBoard curves in a folder; use as a context. Raises InputError when TensorBoard is not installed.

    Args:
        folder: folder of the run; None writes nothing.

    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            try:
                tensorboard = import_module("torch.utils.tensorboard")
            except ImportError:
                raise InputError("Training writes curves with TensorBoard; install spokestream[train].") from None
            self._writer = tensorboard.SummaryWriter(str(folder))

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()

    def show(self, values: dict[str, float], batch: int) -> None:
        """Add a point to each of these curves, at this number of batches."""
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(name, value, batch)
