"""Calibration against errors whose distribution is known."""

import numpy as np
import pytest

from spokestream.models.evaluation.calibration import Calibration


def test_honest_deviations_are_those_of_the_errors():
    rng = np.random.default_rng(3)
    deviation = np.exp(rng.uniform(np.log(5), np.log(200), 60_000))
    calibration = Calibration(span=1000.0)
    for part in np.split(np.arange(deviation.size), 3):
        calibration.add(deviation[part] * rng.standard_normal(part.size), deviation[part])
    found = calibration.result()
    assert found["error_over_std"] == pytest.approx(1, abs=0.01)
    assert found["within_1_std"] == pytest.approx(0.6827, abs=0.01)
    assert found["within_2_std"] == pytest.approx(0.9545, abs=0.01)
    assert found["found"] == pytest.approx(found["expected"], rel=0.1)
    assert sum(found["voxels"]) == deviation.size
    assert found["expected"] == sorted(found["expected"])


def test_a_network_that_is_too_sure_is_found_out():
    calibration = Calibration(span=1.0)
    calibration.add(np.array([0.3, -0.3, 0.3]), np.array([0.1, 0.1, 0.0]))
    found = calibration.result()
    assert found["error_over_std"] == pytest.approx(3)
    assert found["voxels"] == [2]  # a deviation of 0 is none
    assert (found["within_1_std"], found["within_2_std"]) == (0, 0)


def test_without_voxels_nothing_is_claimed():
    found = Calibration(span=1.0).result()
    assert np.isnan([found["error_over_std"], found["within_1_std"]]).all()
    assert found["voxels"] == []
