"""The coefficients of one pool as polynomials of T1 and B1, which are fast to compute, with their derivatives."""

from copy import copy
from typing import Self

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebpts1, chebvander
from numpy.typing import NDArray
from torch import Tensor

from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import pool_signal
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.chebyshev import chebyshev_values, derivative, from_unit

__all__ = ["B1_RANGE", "T1_RANGE_MS", "PoolPolynomials"]

T1_RANGE_MS = (100.0, 5000.0)
B1_RANGE = (0.1, 1.5)
NODES = 12
"""Number of Chebyshev nodes along log T1 and along B1: errors are below 2e-4 of the signal over both ranges."""
NODES_T1_MS = np.exp(from_unit(chebpts1(NODES), np.log(T1_RANGE_MS)))
NODES_B1 = from_unit(chebpts1(NODES), np.array(B1_RANGE))
POOR_INVERSION = 0.9
"""Efficiency at which the signal is computed in addition to 1. The signal is a linear function of the efficiency."""


class PoolPolynomials:
    """The coefficients of one pool, interpolated in log T1, B1 and inversion efficiency; the train is ideally spoiled.

    Args:
        sequence: the pulse sequence.
        basis: temporal basis of K images; coefficients are divided by its noise.
        t2_ms: T2 of the pool.

    """

    def __init__(self, sequence: PulseSequence, basis: TemporalBasis, t2_ms: float) -> None:
        # most of the amplitude is proportional to B1; divided by it, the signal is smooth and exact at low B1, too
        self._perfect_signal, self._poor_signal = (
            pool_signal(sequence, NODES_T1_MS[:, None], NODES_B1, t2_ms, efficiency) / NODES_B1[:, None]
            for efficiency in (1.0, POOR_INVERSION)
        )
        self._project(basis)

    def through(self, basis: TemporalBasis) -> Self:
        """The polynomials of the same pool in another basis, whose signal is not computed again."""
        other = copy(self)
        other._project(basis)
        return other

    def _project(self, basis: TemporalBasis) -> None:
        self._n_images = len(basis.te_ms)
        self._perfect = _table(self._perfect_signal, basis)
        self._per_efficiency = (self._perfect - _table(self._poor_signal, basis)) / (1 - POOR_INVERSION)

    def at(self, t1_ms: Tensor, b1: Tensor, efficiency: float = 1.0, by_efficiency: bool = False) -> list[Tensor]:
        """The coefficients, and their derivatives in log T1 and B1, (voxels, K) each.

        T1 and B1 outside their ranges are clamped. The derivative in inversion efficiency is the last if it is asked
        for.
        """
        t1_ms, b1 = t1_ms.clamp(*T1_RANGE_MS), b1.clamp(*B1_RANGE)
        low, high = np.log(T1_RANGE_MS)
        along_t1 = chebyshev_values((t1_ms.log() - low) / (high - low) * 2 - 1, NODES)
        along_b1 = chebyshev_values((b1 - B1_RANGE[0]) / (B1_RANGE[1] - B1_RANGE[0]) * 2 - 1, NODES)
        products = (along_t1[:, :, None] * along_b1[:, None, :]).flatten(1)
        polynomials = self._perfect - (1 - efficiency) * self._per_efficiency
        if by_efficiency:
            polynomials = torch.cat((polynomials, self._per_efficiency[:, : self._n_images]), dim=1)
        value, in_log_t1, in_b1, *in_efficiency = torch.split(products @ polynomials.float(), self._n_images, dim=1)
        scale = b1[:, None]
        return [scale * value, scale * in_log_t1, value + scale * in_b1, *(scale * part for part in in_efficiency)]


def _table(signal: NDArray[np.float64], basis: TemporalBasis) -> Tensor:
    """The polynomials of a signal (nodes, nodes, spokes) in a basis, and their derivatives in log T1 and B1."""
    fit = np.linalg.inv(chebvander(chebpts1(NODES), NODES - 1))
    values = np.einsum("ai,bj,ijk->abk", fit, fit, basis.project(signal) / basis.noise)
    halves = np.ptp(np.log(T1_RANGE_MS)) / 2, np.ptp(B1_RANGE) / 2
    derivatives = [derivative(values, axis) / half for axis, half in enumerate(halves)]
    return torch.tensor(np.concatenate([values, *derivatives], axis=-1).reshape(NODES**2, -1))
