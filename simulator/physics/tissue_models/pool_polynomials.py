"""The coefficients of one pool as polynomials of T1 and B1, which are fast to compute, with their derivatives."""

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebpts1, chebvander
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
        nodes = chebpts1(NODES)
        t1_ms, b1 = np.exp(from_unit(nodes, np.log(T1_RANGE_MS))), from_unit(nodes, np.array(B1_RANGE))
        fit = np.linalg.inv(chebvander(nodes, NODES - 1))
        halves = np.ptp(np.log(T1_RANGE_MS)) / 2, np.ptp(B1_RANGE) / 2

        def table(efficiency: float) -> Tensor:
            # most of the amplitude is proportional to B1; divided by it, the signal is smooth and exact at low B1, too
            signal = pool_signal(sequence, t1_ms[:, None], b1, t2_ms, efficiency) / b1[:, None]
            values = np.einsum("ai,bj,ijk->abk", fit, fit, basis.project(signal) / basis.noise)
            derivatives = [derivative(values, axis) / half for axis, half in enumerate(halves)]
            return torch.tensor(np.concatenate([values, *derivatives], axis=-1).reshape(NODES**2, -1))

        self._n_images = len(basis.te_ms)
        self._perfect = table(1.0)
        self._per_efficiency = (self._perfect - table(POOR_INVERSION)) / (1 - POOR_INVERSION)

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
