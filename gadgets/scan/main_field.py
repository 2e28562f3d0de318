"""The main field of a scan: the header's field strength, or its proton frequency."""

from dataclasses import dataclass

from spokestream.errors import ScanError
from spokestream.gadgets.scan.header import STRONGEST_FIELD_T, WEAKEST_FIELD_T, ScanHeader
from spokestream.simulator.physics.fat_spectrum import REFERENCE_FIELD_T

__all__ = ["MainField", "main_field"]

PROTON_HZ_PER_T = 42.577478518e6
"""Gyromagnetic ratio of the proton over 2 pi, CODATA 2018."""
DISAGREEMENT = 0.01
"""Relative difference of the two fields above which a warning is given; field strengths are rounded to 0.01 T."""


@dataclass(frozen=True)
class MainField:
    """The main field and its source."""

    tesla: float
    source: str
    warning: str = ""
    """A sentence if the field is uncertain; otherwise empty."""


def main_field(header: ScanHeader) -> MainField:
    """The field by `systemFieldStrength_T`, else by `H1resonanceFrequency_Hz`, else that of the fat spectrum.

    Raises ScanError if the proton frequency is needed and impossible.
    """
    told, hz = header.field_strength_t, header.proton_frequency_hz
    by_frequency = hz / PROTON_HZ_PER_T if hz else None
    possible = by_frequency is not None and WEAKEST_FIELD_T < by_frequency < STRONGEST_FIELD_T
    if told is not None:
        if by_frequency is not None and not (possible and abs(by_frequency / told - 1) < DISAGREEMENT):
            return MainField(
                told,
                "systemFieldStrength_T",
                f"The header's field strength is {told:g} T, but its proton frequency is {hz:g} Hz, which is "
                f"{by_frequency:.4g} T; {told:g} T is used.",
            )
        return MainField(told, "systemFieldStrength_T")
    if by_frequency is None:
        return MainField(
            REFERENCE_FIELD_T,
            "assumed",
            f"The header gives neither field strength nor proton frequency; {REFERENCE_FIELD_T:g} T is assumed.",
        )
    if not possible:
        raise ScanError(
            f"The header gives no field strength, and H1resonanceFrequency_Hz is {hz:g}, which is no proton frequency "
            "in Hz."
        )
    return MainField(by_frequency, "H1resonanceFrequency_Hz")
