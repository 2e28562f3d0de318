"""Which scans have the pixels of a training."""

from types import SimpleNamespace

import pytest

from spokestream.gadgets.network.pixels import other_pixels


@pytest.mark.parametrize(
    ("fov_mm", "matrix", "said"),
    [
        ((350, 350), (350, 350), ""),
        ((350, 350), (384, 384), ""),  # 0.911 mm
        ((350, 350), (390, 390), "this scan has pixels of 0.897 mm"),
        ((350, 350), (250, 250), ""),  # 1.4 mm
        ((350, 350), (240, 240), "this scan has pixels of 1.46 mm"),
        ((350, 700), (350, 350), "pixels of 1 to 1.29 mm, and this scan has pixels of 2 mm"),
    ],
)
def test_pixels_may_be_a_tenth_smaller_or_larger(fov_mm, matrix, said):
    header = SimpleNamespace(recon_fov_mm=(*fov_mm, 8.0), recon_matrix=(*matrix, 1))
    found = other_pixels(1.0, 450 / 350, header)
    assert found == "" if not said else found.endswith(said)
