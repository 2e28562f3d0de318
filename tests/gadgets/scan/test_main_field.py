"""The main field from the field strength or from the proton frequency."""

from dataclasses import replace

import pytest

from spokestream.errors import ScanError
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.main_field import main_field

HEADER = ScanHeader("", (1, 1, 1), (1.0, 1.0, 1.0), (1, 1, 1), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("tesla", "hz", "expected", "source", "warning"),
    [
        (2.89, 123.2e6, 2.89, "systemFieldStrength_T", ""),
        (None, 63.61e6, 1.49398, "H1resonanceFrequency_Hz", ""),
        (3.0, 63.61e6, 3.0, "systemFieldStrength_T", "proton frequency is 6.361e+07 Hz, which is 1.494 T"),
        (3.0, None, 3.0, "systemFieldStrength_T", ""),
        (None, None, 2.89, "assumed", "neither field strength nor proton frequency; 2.89 T is assumed"),
    ],
)
def test_field_and_source(tesla, hz, expected, source, warning):
    field = main_field(replace(HEADER, field_strength_t=tesla, proton_frequency_hz=hz))
    assert field.tesla == pytest.approx(expected, rel=1e-4)
    assert field.source == source
    assert bool(field.warning) == bool(warning)
    assert warning in field.warning


def test_a_frequency_in_mhz_is_refused():
    with pytest.raises(ScanError, match=r"H1resonanceFrequency_Hz is 123\.2, which is no proton frequency in Hz"):
        main_field(replace(HEADER, proton_frequency_hz=123.2))
