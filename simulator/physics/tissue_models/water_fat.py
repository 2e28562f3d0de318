"""Fingerprints of any tissue by the closed form, through a temporal basis, and what measured ones leave of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.errors import ScanError
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import FAT_T2_MS, WATER_T2_MS, FatModel
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.pool_polynomials import PoolPolynomials

__all__ = ["PARAMETERS", "ClosedForm", "columns"]

PARAMETERS = ("ff", "t1h2o", "t1fat", "deltaf", "b1")
"""The maps that shape a fingerprint."""
UNTOLD_T1_MS = {"t1h2o": 1000.0, "t1fat": 350.0}
"""Of a pool so small that a map leaves its T1 at 0."""


class ClosedForm:
    """Fingerprints of any water and fat in one scan, and how they change with the five parameters.

    Args:
        sequence: of the scan.
        basis: its frames are the sequence's.
        spectrum: of fat, at the scan's field; the default is that of `REFERENCE_FIELD_T`.

    Raises ScanError for a basis of too few images and a train that is not ideally spoiled.

    """

    def __init__(self, sequence: PulseSequence, basis: TemporalBasis, spectrum: FatModel | None = None) -> None:
        self.sequence, self.basis, self.spectrum = sequence, basis, spectrum or FatModel()
        if sequence.spoiling != "ideal":
            raise ScanError(f"Maps explain the signal of ideally spoiled trains; this one's is {sequence.spoiling}.")
        if 2 * len(basis.te_ms) <= len(PARAMETERS) + 2:
            raise ScanError(f"{len(basis.te_ms)} temporal images leave nothing to check the maps with.")
        self._water = PoolPolynomials(sequence, basis, WATER_T2_MS)
        self._fat = PoolPolynomials(sequence, basis, FAT_T2_MS)
        self._phasor = torch.tensor(self.spectrum.phasor(basis.te_ms), dtype=torch.complex64)
        self._turn = torch.tensor(-2e-3 * np.pi * basis.te_ms, dtype=torch.float32)

    def through(self, basis: TemporalBasis) -> "ClosedForm":
        """The same fingerprints through another basis, that of a slice which lacks frames for instance."""
        return self if basis is self.basis else ClosedForm(self.sequence, basis, self.spectrum)

    def at(
        self, ff: Tensor, t1h2o_ms: Tensor, t1fat_ms: Tensor, deltaf_hz: Tensor, b1: Tensor, *, efficiency: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Coefficients (voxels, K) over their noise, per unit of proton density; their derivatives (voxels, 6, K).

        The derivatives are in the five parameters, T1 in its logarithm, and in the efficiency of the inversion. T1 and
        B1 outside the polynomials' range are taken at its ends.
        """
        water, water_t1, water_b1, water_e = self._water.at(t1h2o_ms, b1, efficiency)
        fat, fat_t1, fat_b1, fat_e = (self._phasor * part for part in self._fat.at(t1fat_ms, b1, efficiency))
        share = ff[:, None]
        signal = (1 - share) * water + share * fat
        slopes = [
            fat - water, (1 - share) * water_t1, share * fat_t1, 1j * self._turn * signal,
            (1 - share) * water_b1 + share * fat_b1, (1 - share) * water_e + share * fat_e,
        ]  # fmt: skip
        angle = deltaf_hz[:, None] * self._turn
        turn = torch.polar(torch.ones_like(angle), angle)
        return signal * turn, torch.stack(slopes, dim=1) * turn[:, None]


def columns(maps: dict[str, NDArray[np.float32]], there: NDArray[np.bool_]) -> list[Tensor]:
    """The five parameters of some voxels (y, x), each (voxels,); a T1 that a map leaves at 0 gets a usual value."""
    values = {name: maps[name][there] for name in PARAMETERS}
    for name, t1_ms in UNTOLD_T1_MS.items():
        values[name] = np.where(values[name] > 0, values[name], np.float32(t1_ms))
    return [torch.from_numpy(values[name]) for name in PARAMETERS]
