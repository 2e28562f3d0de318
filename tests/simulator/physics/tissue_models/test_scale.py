"""Scales of networks: right at the ends and in the middle, and back again."""

import numpy as np
import pytest
import torch

from spokestream.simulator.physics.tissue_models.scale import Scale


@pytest.mark.parametrize(
    ("scale", "middle"),
    [(Scale(-120, 120), 0.0), (Scale(100, 2500), 1300.0), (Scale(100, 2500, logarithmic=True), 500.0)],
)
def test_ends_and_middle(scale, middle):
    values = np.array([scale.low, middle, scale.high])
    np.testing.assert_allclose(scale.to_unit(torch.from_numpy(values)), [0, 0.5, 1], atol=1e-12)
    np.testing.assert_allclose(scale.from_unit(np.array([0, 0.5, 1])), values, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("scale", [Scale(100, 2500), Scale(100, 2500, logarithmic=True)])
def test_a_standard_deviation_is_the_effect_of_a_small_step(scale):
    unit, step = np.array([0.1, 0.5, 0.9]), 1e-6
    effect = (scale.from_unit(unit + step) - scale.from_unit(unit - step)) / 2
    np.testing.assert_allclose(scale.std_from_unit(np.full(3, step), scale.from_unit(unit)), effect, rtol=1e-6)


def test_values_outside_the_range_are_outside_the_unit():
    linear, logarithmic = Scale(100, 2500), Scale(100, 2500, logarithmic=True)
    for scale in (linear, logarithmic):
        below, above = scale.to_unit(torch.tensor([99.0, 2501.0])).tolist()
        assert below < 0
        assert above > 1
    assert logarithmic.to_unit(torch.tensor([0.0])).tolist() == [-np.inf]  # no relaxation time
