"""The atoms of a dictionary file as a training set: every atom is a voxel, and a tenth of them is held out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.errors import FileError
from spokestream.gadgets.imaging.image_kinds import ADJOINT
from spokestream.simulator.physics.dictionaries.t1t2 import load_t1t2_dictionary
from spokestream.simulator.physics.temporal_basis import frame_basis, frame_means
from spokestream.simulator.physics.tissue_models.registry import model_of_sequence
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["HELD_OUT", "AtomSet", "add_noise"]

HELD_OUT = 10
"""One in this many atoms is held out. They are drawn at random, so that they lie between the others on the grid."""


class AtomSet:
    """The atoms of a dictionary over T1 and T2, for networks that see single fingerprints.

    The temporal basis is that of frames. The set has one item, a slice of one row whose voxels are the atoms.

    Args:
        path: the file, written by `spokestream dictionary`.
        held_out: whether this is the part that is held out; else it is the other part.
        noise: standard deviation of the noise in the item, per real and imaginary part, relative to the root mean
            square of the frames of each atom.

    Raises FileError for a file that is no dictionary over T1 and T2, or has too few atoms.

    """

    pixel_mm = None
    """Atoms have no pixels."""
    images = ADJOINT
    """Atoms have no aliasing; networks that are trained on them get the images of the adjoint."""
    demodulation_hz = 0.0
    """The receiver frequency of the pipelines of T1 and T2."""
    efficiencies = (1.0, 1.0)
    """The inversion of all atoms is complete."""

    def __init__(self, path: Path, held_out: bool = False, noise: float = 0.0) -> None:
        dictionary = load_t1t2_dictionary(path)
        if len(dictionary.grid) < 2 * HELD_OUT:
            raise FileError(f"{path} has {len(dictionary.grid)} atoms; training takes {2 * HELD_OUT} at least.")
        order = np.random.default_rng(0).permutation(len(dictionary.grid))
        n_held_out = len(order) // HELD_OUT
        chosen = np.sort(order[:n_held_out] if held_out else order[n_held_out:])
        signals = dictionary.signals()
        self.sequence = dictionary.sequence
        self.basis = frame_basis(self.sequence, signals)
        self.tissue_model: TissueModel = model_of_sequence(self.sequence)
        self.identity = {
            "recipe": {"grid": dictionary.grid.name, "atoms": len(dictionary.grid), "slices": 1},
            "digest": dictionary.digest,
        }
        self.recipe: dict[str, Any] = self.identity["recipe"]  # type: ignore[assignment]
        self.seeds: list[int] = []
        """A dictionary has no subjects."""
        frames = frame_means(signals[chosen], self.sequence.spokes_per_frame)
        self.frames = torch.from_numpy(np.ascontiguousarray(frames.T, np.complex64))
        """(frames, atoms) signals."""
        one = np.ones((1, len(chosen)), np.float32)
        values = {"t1": dictionary.grid.t1_ms[chosen], "t2": dictionary.grid.t2_ms[chosen]}
        self._noise = noise
        self._item = {name: torch.from_numpy(value[None].astype(np.float32)) for name, value in values.items()} | {
            "pd": torch.from_numpy(one),
            "foreground": torch.from_numpy(one > 0),
            "inversion_efficiency": torch.tensor(1.0),
        }

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if index:
            raise IndexError(f"The atoms of a dictionary are one slice; there is no slice {index}.")
        noisy = add_noise(self.frames, self._noise, np.random.default_rng(1))
        return self._item | {"fingerprints": noisy[:, None]}


def add_noise(frames: Tensor, noise: float, rng: np.random.Generator) -> Tensor:
    """Signals (frames, atoms) with noise and an arbitrary phase for each atom, as a receive coil gives them.

    Args:
        frames: complex signals.
        noise: standard deviation per real and imaginary part, relative to the root mean square of each atom's frames.
        rng: random numbers.

    """
    size = frames.abs().square().mean(0).sqrt()
    white = _white(rng, tuple(frames.shape))
    phase = torch.from_numpy(rng.uniform(-np.pi, np.pi, frames.shape[1]).astype(np.float32))
    return frames * torch.polar(torch.ones_like(phase), phase) + noise * size * torch.from_numpy(white)


def _white(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    return np.asarray(rng.standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0])
