"""Orthonormal bases of what the atoms of a dictionary span."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.matching.mixture import power

__all__ = ["group_basis", "real_span"]


def real_span(vectors: Tensor, tolerance: float) -> Tensor:
    """Complex vectors (d, R), orthonormal in Re<.,.>, whose real span contains all `vectors` to a tolerance."""
    unit = vectors / power(vectors).sum(-1).sqrt()[:, None]
    u, s, vh = torch.linalg.svd(torch.cat([unit.real, unit.imag], 1), full_matrices=False)
    held = (u * s).square().cumsum(1)
    missed = (held[:, -1:] - held).clamp(min=0).sqrt().amax(0)  # largest amplitude that is lost, for each rank
    rank = int((missed > tolerance).sum()) + 1
    real, imag = vh[:rank].chunk(2, dim=1)
    return torch.complex(real.contiguous(), imag.contiguous())


def group_basis(atoms: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    """Orthonormal columns (K, R) that span all atoms to rounding errors; none of them mixes echo times."""
    columns = []
    for g in np.unique(group):
        held = group == g
        energy, vectors = np.linalg.eigh(atoms[:, held].T @ atoms[:, held])
        kept = vectors[:, energy > 1e-13 * energy.sum()]
        column = np.zeros((len(group), kept.shape[1]))
        column[held] = kept
        columns.append(column)
    return np.hstack(columns)
