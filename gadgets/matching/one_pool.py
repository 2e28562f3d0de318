"""Search for the best single atom: the largest normalised inner product (Ma et al., Nature 2013;495:187)."""

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["OnePoolAtoms"]

CHUNK = 1024
"""Number of voxels that are compared with all atoms at once; it limits the memory."""


class OnePoolAtoms:
    """The atoms of a dictionary of one pool in a temporal basis, divided by their noise."""

    def __init__(self, dictionary: OnePoolDictionary, basis: TemporalBasis) -> None:
        self.dictionary = dictionary
        atoms = torch.from_numpy(basis.project(dictionary.atoms) / basis.noise).to(torch.complex128)
        self._noise = torch.from_numpy(basis.noise.astype(np.float64))
        self._norm = torch.linalg.vector_norm(atoms, dim=1)
        self._unit = (atoms / self._norm.clamp_min(1e-30)[:, None]).to(torch.complex64)

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the atom with the largest normalised inner product for every voxel; the first of several equal ones.

        Args:
            y: (voxels, K) complex coefficients.
            threads: CPU threads; the result does not depend on their number.
            cancellation: the sign to stop, which is looked at before every chunk.

        Raises CancelledScanError if the search was cancelled.

        """
        sign = cancellation or Cancellation()

        def search(part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            sign.check()
            return self._search(part)

        with workers(threads) as pool:
            parts = list(pool.map(search, torch.split(y, CHUNK)))
        place, rho, correlation = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        shape = tuple(len(axis) for axis in self.dictionary.axes.values())
        index = dict(zip(self.dictionary.axes, np.unravel_index(place, shape), strict=True))
        return Match(index, None, rho, correlation)

    def _search(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        white = y / self._noise
        norm = torch.linalg.vector_norm(white, dim=1)
        product = white.to(torch.complex64) @ self._unit.mH
        place = product.abs().argmax(dim=1)
        best = product.gather(1, place[:, None])[:, 0]
        return place, best / self._norm[place], (best.abs() / norm.clamp_min(1e-30)).clamp(max=1)
