"""The few singular vectors that span the signals of a dictionary, computed without the dictionary in memory.

McGivney et al., IEEE Trans Med Imaging 2014;33:2311.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError

__all__ = ["check_compression", "leading_vectors", "normalised_gram"]


def normalised_gram(blocks: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """The sum over atoms of a a^H, with each atom a scaled to norm 1: (spokes, spokes), in double precision.

    All atoms have the same weight, because matching depends on directions and not on lengths. Atoms without signal are
    left out.

    Args:
        blocks: arrays (atoms, spokes), real or complex, at least one.

    Raises ValueError, a programming error, when there is no block.

    """
    total: NDArray[Any] | None = None
    for block in blocks:
        norm = np.linalg.norm(block, axis=1, keepdims=True).astype(np.float64)
        unit = np.divide(block, norm, where=norm > 0, out=np.zeros(block.shape, np.result_type(block, np.float64)))
        part = unit.T @ unit.conj()
        total = part if total is None else total + part
    if total is None:
        raise ValueError("A basis needs at least one atom.")
    return total


def leading_vectors(gram: NDArray[Any], energy_or_rank: float) -> tuple[NDArray[Any], float]:
    """The leading eigenvectors of a Gram matrix, and the fraction of its energy that they keep.

    Args:
        gram: (spokes, spokes), Hermitian.
        energy_or_rank: the fraction of the energy, between 0 and 1, that is kept at least; or the number of vectors, an
            int of 1 or more (1.0 is neither).

    Returns:
        Orthonormal columns (spokes, K), strongest first; and the fraction of the energy that they keep.

    Raises InputError for any other number.

    """
    check_compression(energy_or_rank, len(gram))
    energy, vectors = np.linalg.eigh(gram)
    energy, vectors = np.maximum(energy[::-1], 0), vectors[:, ::-1]
    kept = np.cumsum(energy) / energy.sum()
    rank = int(energy_or_rank) if energy_or_rank >= 1 else int(np.searchsorted(kept[:-1], energy_or_rank)) + 1
    return vectors[:, :rank], float(kept[rank - 1])


def check_compression(energy_or_rank: float, spokes: int) -> None:
    """Raise InputError if a signal of this many spokes cannot be compressed in this way; see `leading_vectors`."""
    rank = isinstance(energy_or_rank, int) and 1 <= energy_or_rank <= spokes
    if not (rank or 0 < energy_or_rank < 1):
        raise InputError(
            f"Compress to a fraction of the energy between 0 and 1, or to 1 to {spokes} vectors; "
            f"{energy_or_rank} is neither."
        )
