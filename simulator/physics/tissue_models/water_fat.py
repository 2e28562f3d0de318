"""Water and fat: the tissue model of MRF T1-FF.

Two pools that mix by the fat fraction, each with a T1 of its own; off-resonance is one phase per echo time and B1
scales the flip angles. Signal of a voxel at spoke j (Marty and Carlier, Magn Reson Med 2020;83:621):
rho exp(i phi) [(1 - FF) w_j(T1w, B1) + FF f_j(T1f, B1) F(TE_j)] exp(-2 pi i deltaf TE_j).
"""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from spokestream.errors import ScanError
from spokestream.simulator.physics.dictionaries.water_fat import (
    WaterFatDictionary,
    build_dictionary,
    load_dictionary,
)
from spokestream.simulator.physics.fat_spectrum import REFERENCE_FIELD_T, FatModel
from spokestream.simulator.physics.quantities import Where
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import FAT_T2_MS, WATER_T2_MS
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.pool_polynomials import PoolPolynomials
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, Region, TissueModel

__all__ = ["WATER_FAT", "WaterFat", "WaterFatSignal"]


class WaterFat(TissueModel):
    """Fat fraction, water T1, fat T1, off-resonance and B1."""

    name = "water_fat"
    title = "water and fat"
    # ranges and the mask of water T1 are those of Balsiger et al. 2020, section 3
    parameters = (
        Parameter("ff", 0, 1),
        Parameter("t1h2o", 0, 2300, pool="water", usual=1000.0, compared=Where("ff", below=0.7), by_logarithm=True),
        Parameter("t1fat", 0, 475, pool="fat", usual=350.0, compared=Where("ff", above=0.05), by_logarithm=True),
        Parameter("deltaf", -120, 120),
        Parameter("b1", 0, 1),
    )
    regions = (
        Region("muscle", Where("ff", below=0.7), soft_tissue=True),
        Region("fat", Where("ff", above=0.7)),
    )
    fraction = "ff"
    least_fraction = 0.05
    strata = ((-np.inf, 0.3), (0.3, 0.5), (0.5, 0.7))

    def refusal(self, sequence: PulseSequence) -> str | None:
        """Echo times separate fat from off-resonance, and they factor out of ideally spoiled trains only."""
        if sequence.spoiling != "ideal":
            return (
                f"Water and fat are told apart in ideally spoiled trains; the spoiling of '{sequence.name}' is "
                f"{sequence.spoiling}."
            )
        if len(sequence.echo_times_ms) < 2:
            return "The sequence has one echo time, which cannot tell fat from off-resonance."
        return None

    def dictionary(self, sequence: PulseSequence, field_t: float | None = None) -> WaterFatDictionary:
        """The grid of Balsiger et al. 2020 in closed form; field strength sets the fat spectrum."""
        return build_dictionary(sequence, spectrum=_spectrum(field_t))

    def load_dictionary(self, path: Path) -> WaterFatDictionary:
        """Read a file that `spokestream dictionary` made."""
        return load_dictionary(path)

    def closed_form(
        self, sequence: PulseSequence, basis: TemporalBasis, field_t: float | None = None
    ) -> "WaterFatSignal":
        """The closed form, interpolated in T1 and B1."""
        return WaterFatSignal(sequence, basis, _spectrum(field_t))

    def pool_fractions(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Water and fat of every voxel, and 1 for what belongs to no pool."""
        ff = values["ff"]
        return {"": ff * 0 + 1, "water": 1 - ff, "fat": ff}

    def presence(self, pool: str) -> Where | None:
        """Where there is enough water, or fat, for it to have a T1."""
        return {"water": Where("ff", below=1 - self.least_fraction), "fat": Where("ff", above=self.least_fraction)}.get(
            pool
        )


def _spectrum(field_t: float | None) -> FatModel:
    return FatModel().at(field_t or REFERENCE_FIELD_T)


class WaterFatSignal:
    """Fingerprints of any water and fat in one scan, and their derivatives; T1 enters by its logarithm.

    Args:
        sequence: the scan's pulse sequence.
        basis: a temporal basis whose frames are the sequence's.
        spectrum: the fat spectrum at the scan's field; the default is that of `REFERENCE_FIELD_T`.

    Raises ScanError for a basis of too few images and a train that is not ideally spoiled.

    """

    def __init__(self, sequence: PulseSequence, basis: TemporalBasis, spectrum: FatModel | None = None) -> None:
        self.model: TissueModel = WATER_FAT
        self.sequence, self.spectrum = sequence, spectrum or FatModel()
        if sequence.spoiling != "ideal":
            raise ScanError(f"Maps explain the signal of ideally spoiled trains; this one's is {sequence.spoiling}.")
        self._see_through(
            basis, PoolPolynomials(sequence, basis, WATER_T2_MS), PoolPolynomials(sequence, basis, FAT_T2_MS)
        )

    def through(self, basis: TemporalBasis) -> Self:
        """The same fingerprints through another basis, for instance of a slice that lacks frames."""
        if basis is self.basis:
            return self
        other = copy(self)
        other._see_through(basis, self._water.through(basis), self._fat.through(basis))
        return other

    def _see_through(self, basis: TemporalBasis, water: PoolPolynomials, fat: PoolPolynomials) -> None:
        self.model.check_images(len(basis.te_ms))
        self.basis, self._water, self._fat = basis, water, fat
        self._phasor = torch.tensor(self.spectrum.phasor(basis.te_ms), dtype=torch.complex64)
        self._phase_per_hz = torch.tensor(-2e-3 * np.pi * basis.te_ms, dtype=torch.float32)

    def at(self, *parameters: Tensor, efficiency: float = 1.0, by_efficiency: bool = False) -> tuple[Tensor, Tensor]:
        """See `ClosedForm.at`. T1 and B1 outside the polynomials' range are taken at its ends."""
        ff, t1h2o_ms, t1fat_ms, deltaf_hz, b1 = parameters
        water, water_t1, *water_others = self._water.at(t1h2o_ms, b1, efficiency, by_efficiency)
        fat, fat_t1, *fat_others = (
            self._phasor * part for part in self._fat.at(t1fat_ms, b1, efficiency, by_efficiency)
        )
        fraction = ff[:, None]
        signal = (1 - fraction) * water + fraction * fat
        derivatives = [
            fat - water, (1 - fraction) * water_t1, fraction * fat_t1, 1j * self._phase_per_hz * signal,
            *((1 - fraction) * w + fraction * f for w, f in zip(water_others, fat_others, strict=True)),
        ]  # fmt: skip
        angle = deltaf_hz[:, None] * self._phase_per_hz
        phase = torch.polar(torch.ones_like(angle), angle)
        return signal * phase, torch.stack(derivatives, dim=1) * phase[:, None]

    def lines(self, *parameters: Tensor, efficiency: float = 1.0) -> list[tuple[Tensor, Tensor]]:
        """The lines of the spectrum, whose coefficients add up to the signal of `at`.

        Args:
            parameters: (voxels,) each, in the order of the model's parameters.
            efficiency: inversion efficiency, see `ClosedForm.at`.

        Returns:
            For water and every peak of fat: its frequency (voxels,) in Hz below that of water on resonance, and its
            coefficients (voxels, K).

        """
        ff, _, _, deltaf_hz, _ = parameters
        nothing = torch.zeros_like(ff)
        water, _ = self.at(nothing, *parameters[1:], efficiency=efficiency)
        fat, _ = self.at(nothing + 1, *parameters[1:], efficiency=efficiency)
        fat = ff[:, None] * fat / self._phasor
        lines = [(deltaf_hz, (1 - ff)[:, None] * water)]
        for hz, amplitude in zip(self.spectrum.frequency_hz, self.spectrum.amplitude, strict=True):
            phase = amplitude * np.exp(-2e-3j * np.pi * hz * self.basis.te_ms)
            lines.append((deltaf_hz + hz, fat * torch.tensor(phase, dtype=torch.complex64)))
        return lines


WATER_FAT = WaterFat()
