"""Signals of tissue by T1, T2 and B1, in scans whose flip angles the maps take as nominal.

No single voxel tells B1 from T2, so that `relaxation.py` does not map it. It varies slowly over a slice, however, and
is found there together with the efficiency of the inversion.
"""

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebpts1, chebvander
from numpy.typing import NDArray
from torch import Tensor

from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.chebyshev import chebyshev_values, derivative, from_unit

__all__ = ["B1_SPAN", "TISSUE_T1_MS", "RelaxationB1Signal"]

TISSUE_T1_MS = (550.0, 2500.0)
"""Values of T1 that neither fluid nor, at 3 T, fat and its mixtures have."""
TISSUE_T2_MS = (10.0, 500.0)
B1_SPAN = (0.7, 1.3)
NODES = (8, 8, 9)
"""Numbers of Chebyshev nodes along log T1, log T2 and B1 for tissue."""
EFFICIENCIES = (1.0, 0.9)
"""Efficiencies at which signals are computed; they are linear in between and beyond."""


class RelaxationB1Signal:
    """Fingerprints of any T1, T2 and B1 of tissue in one scan, and their derivatives.

    Args:
        sequence: the scan's pulse sequence, with one echo time.
        basis: a temporal basis whose frames are the sequence's.
        t1_ms: smallest and largest T1.
        t2_ms: smallest and largest T2.
        nodes: numbers of Chebyshev nodes along log T1, log T2 and B1.

    """

    def __init__(
        self,
        sequence: PulseSequence,
        basis: TemporalBasis,
        t1_ms: tuple[float, float] = TISSUE_T1_MS,
        t2_ms: tuple[float, float] = TISSUE_T2_MS,
        nodes: tuple[int, int, int] = NODES,
    ) -> None:
        self._spans, self._nodes = (np.log(t1_ms), np.log(t2_ms), np.array(B1_SPAN)), nodes
        t1, t2, b1 = (from_unit(chebpts1(n), span) for n, span in zip(nodes, self._spans, strict=True))
        at = np.exp(t1)[:, None, None], np.exp(t2)[:, None]
        signals = (fingerprint(sequence, *at, b1=b1, inversion_efficiency=each) for each in EFFICIENCIES)
        perfect, poor = (_coefficients(basis.project(np.asarray(each)) / basis.noise) for each in signals)
        by_place = [derivative(perfect, axis) / (np.ptp(span) / 2) for axis, span in enumerate(self._spans)]
        by_efficiency = (perfect - poor) / (EFFICIENCIES[0] - EFFICIENCIES[1])
        tables = np.concatenate([perfect, *by_place, by_efficiency], axis=-1)
        self._tables = torch.tensor(tables.reshape(-1, tables.shape[-1]), dtype=torch.float32)

    def at(self, t1_ms: Tensor, t2_ms: Tensor, b1: Tensor, efficiency: float) -> tuple[Tensor, Tensor]:
        """Coefficients over their noise, per unit of proton density, and their derivatives.

        Values outside the ranges are taken at the ends. The derivatives are those of a perfect inversion,
        which is accurate enough for a search that is repeated.

        Args:
            t1_ms: (voxels,)
            t2_ms: (voxels,)
            b1: (voxels,) flip angle over nominal.
            efficiency: inversion efficiency; 1 turns M into -M, 0 leaves nothing.

        Returns:
            (voxels, K) complex; (voxels, 4, K) the derivatives by log T1, log T2, B1 and the efficiency.

        """
        along = [
            chebyshev_values((x.clamp(*span) - span.mean()) / (np.ptp(span) / 2), n)
            for x, span, n in zip((t1_ms.log(), t2_ms.log(), b1), self._spans, self._nodes, strict=True)
        ]
        products = torch.einsum("ni,nj,nk->nijk", *along).flatten(1)
        signal, *derivatives = (products @ self._tables).chunk(5, dim=1)
        signal = signal - (EFFICIENCIES[0] - efficiency) * derivatives[-1]
        return signal.to(torch.complex64), torch.stack(derivatives, dim=1).to(torch.complex64)


def _coefficients(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Chebyshev coefficients (n T1, n T2, n B1, K) of values at the nodes."""
    fits = [np.linalg.inv(chebvander(chebpts1(n), n - 1)) for n in values.shape[:3]]
    return np.asarray(np.einsum("ai,bj,ck,ijkm->abcm", *fits, values, optimize=True))
