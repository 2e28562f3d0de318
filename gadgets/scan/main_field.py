"""The main field of a scan, and the spectrum of fat in it."""

from spokestream.gadgets.scan.header import ScanContext
from spokestream.simulator.physics.signal import REFERENCE_FIELD_T, FatModel

__all__ = ["fat_spectrum", "field_t"]


def field_t(scan: ScanContext) -> float:
    """Main field in tesla; the one for which fat is tabulated, where the header is silent."""
    return scan.header.field_strength_t or REFERENCE_FIELD_T


def fat_spectrum(scan: ScanContext) -> FatModel:
    """Of fat at the scan's field."""
    return FatModel().at(field_t(scan))
