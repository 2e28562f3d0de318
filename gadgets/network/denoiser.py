"""A denoiser of maps: a network that has learnt how tissue looks, and sees what the signal leaves open.

It reads the `evidence` of a slice, not its fingerprints, and therefore serves every sequence of its tissue model.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.jit import ScriptModule
from torch.nn.functional import pad

from spokestream.errors import FileError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.gadgets.messages import Mask
from spokestream.gadgets.model_fit.evidence import n_features
from spokestream.gadgets.network.archive import read_archive, told
from spokestream.gadgets.network.network_input import crop_around
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.tissue_models.registry import TISSUE_MODELS
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["Denoiser", "DenoiserCard", "load_denoiser", "on_grid", "save_denoiser"]

CARD = "denoiser.json"
ROWS = 48
"""Rows of a slice that one thread computes at once."""
WIDEST_BORDER = 64


@dataclass(frozen=True)
class DenoiserCard:
    """What a denoiser is for, and what made it. Raises FileError for a card that contradicts itself."""

    tissue_model: str
    """Name of the tissue model whose unknowns it denoises."""
    images: str
    """The images in which its maps were refined: consistent ones, or those of the adjoint."""
    border: int
    """Number of pixels that the network crops on every side."""
    smallest_mm: float
    """The smallest pixels of its training."""
    largest_mm: float
    """The largest ones."""
    training: dict[str, Any] = field(default_factory=dict)
    """The command, the settings, the subjects, and the time that made the weights."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Errors of held-out subjects, before and after."""

    def __post_init__(self) -> None:
        if self.tissue_model not in TISSUE_MODELS:
            raise FileError(f"there is no tissue model '{self.tissue_model:.40}'")
        if not 0 <= self.border <= WIDEST_BORDER:
            raise FileError(f"the border of a denoiser lies between 0 and {WIDEST_BORDER}, not at {self.border}")
        if self.images not in (ADJOINT, CONSISTENT):
            raise FileError(f"there is no denoiser for '{self.images:.40}' images")
        if not 0 < self.smallest_mm <= self.largest_mm:
            raise FileError(f"pixels of {self.smallest_mm:g} to {self.largest_mm:g} mm cannot be")

    @property
    def model(self) -> TissueModel:
        """The tissue model."""
        return TISSUE_MODELS[self.tissue_model]


@dataclass(frozen=True, eq=False)
class Denoiser:
    """A network that moves unknowns, in single precision on the CPU."""

    card: DenoiserCard
    module: ScriptModule
    """Its `forward(features (1, channels, h + 2 border, w + 2 border), unknowns (1, n, h, w))` gives the unknowns and
    their standard deviations, (1, 2 n, h, w). Channels are the features of `evidence`, and the mask."""
    digest: str

    def __call__(
        self, features: Tensor, x: Tensor, mask: Mask, threads: int, check: Callable[[], object] = lambda: None
    ) -> tuple[Tensor, Tensor]:
        """The denoised unknowns (voxels, n) of a mask (y, x), and their standard deviations.

        Args:
            features: (voxels, channels) of `evidence`.
            x: (voxels, n) unknowns.
            mask: (y, x) the voxels; it must not be empty.
            threads: CPU threads. The result does not depend on their number.
            check: called between pieces of the work; raises an error if the scan was cancelled.

        """
        border = self.card.border
        rows, columns = crop_around(mask, 0)
        here = mask[rows, columns]
        images, unknowns = on_grid(features, x, here)
        images = pad(images, [border] * 4)

        def one(row: int) -> Tensor:
            check()
            end = min(row + ROWS, len(here))
            with torch.inference_mode():
                given: Tensor = self.module(images[None, :, row : end + 2 * border], unknowns[None, :, row:end])
            return given[0]

        with workers(threads) as pool:
            found = torch.cat(list(pool.map(one, range(0, len(here), ROWS))), 1)
        moved, std = found[:, torch.from_numpy(here)].T.chunk(2, dim=1)
        return moved, std


def on_grid(features: Tensor, x: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
    """Features with the mask (channels + 1, y, x), and unknowns (n, y, x), of the voxels of a mask; others are 0."""
    voxels = torch.from_numpy(mask)
    images = torch.zeros(features.shape[1] + 1, *mask.shape)
    images[:-1, voxels], images[-1] = features.T, voxels.float()
    unknowns = torch.zeros(x.shape[1], *mask.shape)
    unknowns[:, voxels] = x.T
    return images, unknowns


def save_denoiser(path: Path, module: ScriptModule, card: DenoiserCard) -> None:
    """Write a denoiser. Raises FileError if the module does not do what the card says."""
    _check(module, card)
    torch.jit.save(module, str(path), _extra_files={CARD: json.dumps(asdict(card)).encode()})


def load_denoiser(path: Path) -> Denoiser:
    """Read a file of `save_denoiser`. Raises FileError, with one sentence, for any other file."""
    with told(path):
        text, module, digest = read_archive(path, CARD)
        try:
            card = DenoiserCard(**json.loads(text))
        except TypeError:
            raise FileError("its card is of another version") from None
        _check(module, card)
    return Denoiser(card, module, digest)


def _check(module: ScriptModule, card: DenoiserCard) -> None:
    """Run the module on a few pixels. Raises FileError if it does not do what the card says."""
    n, (h, w) = len(card.model.names), (3, 5)
    images = torch.zeros(1, n_features(n) + 1, h + 2 * card.border, w + 2 * card.border)
    try:
        with torch.inference_mode():
            given = module(images, torch.zeros(1, n, h, w))
    except (RuntimeError, torch.jit.Error):
        raise FileError("its network does not run on the evidence of its tissue model") from None
    if not isinstance(given, torch.Tensor) or given.shape != (1, 2 * n, h, w) or given.dtype != torch.float32:
        raise FileError("its network does not give unknowns and their standard deviations")
