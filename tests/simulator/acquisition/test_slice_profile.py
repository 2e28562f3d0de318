"""Slice profiles: what is known of them in closed form."""

import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.simulator.acquisition.slice_profile import PROFILES, slice_profile


@pytest.mark.parametrize("name", PROFILES)
def test_the_middle_has_the_nominal_flip_angle_and_both_sides_are_alike(name):
    profile = slice_profile(name)
    assert profile[len(profile) // 2] == pytest.approx(1)
    np.testing.assert_allclose(profile, profile[::-1], atol=1e-12)


def test_a_windowed_sinc_is_half_as_strong_at_its_nominal_edge_and_gone_beyond():
    """The transform of sinc times window is a box convolved with a narrow, symmetric function."""
    place = np.linspace(-1, 1, 61)
    profile = slice_profile("hann-sinc")
    assert np.interp(0.5, place, profile) == pytest.approx(0.5, abs=0.02)
    assert np.abs(profile[np.abs(place) > 0.95]).max() < 0.02


def test_other_profiles_are_refused():
    with pytest.raises(InputError, match="one of rectangular, hann-sinc, gaussian"):
        slice_profile("trapezoid")
