"""Whether the maps of a slice explain the signal that was measured, whoever made them.

The maps' closed-form fingerprint is compared with the measured one. What it leaves says little by itself: eight spokes
scatter so much over the image that a wrong T1 drowns in it. What tells is the part of it that other values of the maps
would explain: its projection onto the fingerprint's derivatives in the five parameters. Where the maps are right, that
part is noise and aliasing, of which its five dimensions hold as much as any other five; where they are not, it is more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Fingerprints, Float, ParameterMaps
from spokestream.gadgets.model_fit.residuals import departures
from spokestream.gadgets.scan.header import ScanContext
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.tissue_models.water_fat import PARAMETERS, ClosedForm, columns

__all__ = ["FLAGGED_ABOVE", "Comparison", "PhysicsCheck", "compare", "misfit"]

FLAGGED_ABOVE = 2.0
"""Misfit that noise and aliasing do not explain; of true maps it is a few percent of voxels, most at edges."""
WARN_ABOVE = 0.15
"""Share of flagged voxels that the person at the console should hear of."""
NEIGHBOURHOOD = 15
"""Pixels over which the strength of noise and aliasing is averaged."""
RIDGE = 1e-4
"""Bounds steps along parameters that change the fingerprint alike."""
CHUNK = 4096
"""Voxels that are compared at once."""


class PhysicsCheck(Gadget[ParameterMaps, ParameterMaps]):
    """Adds the maps `pd`, `phase`, `residual` and `misfit`, and counts the voxels whose maps the signal contradicts.

    The counts `flagged` and `foreground` join the slice's integrity. Maps that are there already stay as they are, and
    so do messages that do not bring their fingerprints or lack one of the five maps.
    """

    accepts = (ParameterMaps,)

    def __init__(self, closed_form: ClosedForm) -> None:
        self._closed_form = closed_form

    def start(self, scan: ScanContext) -> None:
        """Refuse closed forms of another sequence."""
        difference = self._closed_form.sequence.difference(scan.sequence)
        if difference:
            raise ScanError(f"The maps cannot be checked for another sequence than this scan's: {difference}.")
        self._scan = scan

    def feed(self, message: ParameterMaps, /) -> Iterator[ParameterMaps]:
        """Check one slice."""
        fingerprints = message.fingerprints
        if fingerprints is None or not message.maps.keys() >= set(PARAMETERS):
            yield message
            return
        checked, flagged = self._check(message, fingerprints, self._closed_form.through(fingerprints.basis))
        total = int(message.foreground.sum())
        if flagged > WARN_ABOVE * total:
            self._scan.log.warning(
                "The maps of slice %d do not explain the measured signal in %.0f %% of its voxels.",
                message.slice + 1, 100 * flagged / total,
            )  # fmt: skip
        counts = {**message.integrity, "flagged": flagged, "foreground": total}
        yield replace(message, maps={**checked, **message.maps}, integrity=counts)

    def _check(
        self, message: ParameterMaps, fingerprints: Fingerprints, closed_form: ClosedForm
    ) -> tuple[dict[str, Float], int]:
        finite = np.all([np.isfinite(message.maps[name]) for name in PARAMETERS], axis=0)
        there = message.foreground & finite
        parameters = [torch.split(column, CHUNK) for column in columns(message.maps, there)]
        y = torch.from_numpy(np.ascontiguousarray(fingerprints.data[:, there].T) / fingerprints.basis.noise)
        efficiency = 1.0 if message.inversion_efficiency is None else message.inversion_efficiency

        def one(y: Tensor, *parameters: Tensor) -> Comparison:
            signal, slopes = closed_form.at(*parameters, efficiency=efficiency)
            return compare(y, signal, slopes[:, : len(PARAMETERS)])

        with workers(self._scan.threads) as pool:
            parts = list(pool.map(one, torch.split(y, CHUNK), *parameters))
        found = Comparison.joined(parts)
        values = {
            "pd": found.rho.abs(), "phase": found.rho.angle(), "residual": found.residual,
            "misfit": misfit(found.explicable.numpy(), found.noise.numpy(), there),
        }  # fmt: skip
        maps = {name: np.zeros(there.shape, np.float32) for name in values}
        for name, value in values.items():
            maps[name][there] = value
        maps["residual"][message.foreground & ~finite] = 1
        return maps, int(np.sum(message.foreground & ~(finite & (maps["misfit"] <= FLAGGED_ABOVE))))


@dataclass(frozen=True)
class Comparison:
    """How well the closed-form fingerprints of some voxels explain the measured ones. All (voxels,)."""

    rho: Tensor
    """The complex factor that explains most: proton density times exp(i phase)."""
    residual: Tensor
    """Norm of what is left, over that of the measured fingerprint: 0..1."""
    explicable: Tensor
    """Energy, of what is left, that other values of the parameters would explain; for each of the five."""
    noise: Tensor
    """Energy of the rest, for each of its dimensions: the variance of noise and aliasing."""

    @classmethod
    def joined(cls, parts: list["Comparison"]) -> "Comparison":
        """Of all the voxels."""
        names = ("rho", "residual", "explicable", "noise")
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def compare(y: Tensor, signal: Tensor, slopes: Tensor) -> Comparison:
    """Fit a complex factor by least squares, and split what it leaves.

    Args:
        y: (voxels, K) measured coefficients over their noise, complex.
        signal: (voxels, K) closed-form ones, likewise.
        slopes: (voxels, parameters, K) their derivatives.

    """
    rho, left, tangents = departures(y, signal, slopes)
    tangents = tangents / tangents.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    gram = tangents @ tangents.mT + RIDGE * torch.eye(tangents.shape[1])
    towards = tangents @ left[..., None]
    explained = (towards * torch.linalg.solve(gram, towards)).sum((-2, -1))
    energy, n = left.square().sum(-1), tangents.shape[1]
    measured = torch.view_as_real(y).square().sum((-2, -1))
    return Comparison(
        rho,
        (energy / measured.clamp_min(1e-30)).sqrt(),
        explained / n,
        (energy - explained).clamp_min(0) / (2 * y.shape[1] - 2 - n),
    )


def misfit(explicable: NDArray[np.float32], noise: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How much more of what is left the parameters would explain than noise and aliasing do: 1 where maps are right.

    Aliasing is that of bright tissue around, so that its strength is averaged over a neighbourhood.

    Args:
        explicable: (voxels,) as in `Comparison`.
        noise: (voxels,) likewise.
        mask: (y, x), where the voxels lie.

    Returns:
        (voxels,) amplitude.

    """
    image = np.zeros(mask.shape)
    image[mask] = noise
    near = ndimage.uniform_filter(image, NEIGHBOURHOOD, mode="constant")
    share = ndimage.uniform_filter(mask.astype(float), NEIGHBOURHOOD, mode="constant")
    variance = (near[mask] / share[mask]).clip(1e-30)
    return np.asarray(np.sqrt(explicable / variance), np.float32)
