"""Unknowns: there and back, bounds, and standard deviations."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

TISSUE = [torch.tensor([value]) for value in (0.3, 1200.0, 330.0, -40.0, 0.8)]


def test_parameters_come_back_and_units_are_quarters_of_the_ranges():
    scales = Unknowns(WATER_FAT, {})
    for value, back in zip(TISSUE, scales.parameters(scales.of(TISSUE)), strict=True):
        assert back.item() == pytest.approx(value.item(), rel=1e-5)
    # of relaxation times with a linear range, the quarter is relative to the usual value
    assert scales.units.tolist() == pytest.approx([0.25, 0.25 * 2.3, 0.25 * 475 / 350, 60, 0.25])
    assert Unknowns(RELAXATION, {}).units.tolist() == pytest.approx([0.25 * np.log(50), 0.25 * np.log(500)])


def test_values_are_bounded_by_limits_and_by_the_range():
    scales = Unknowns(WATER_FAT, {"b1": (0.3, 1.3)})
    found = scales.parameters(torch.full((1, 5), 100.0))
    assert [value.item() for value in found] == pytest.approx([1, 2300, 475, 120, 1.3])
    found = scales.parameters(torch.full((1, 5), -100.0))
    assert [value.item() for value in found] == pytest.approx([0, 46, 9.5, -120, 0.3])
    assert torch.equal(
        scales.bounded(torch.full((1, 5), 100.0)), scales.of(scales.parameters(torch.full((1, 5), 99.0)))
    )


def test_a_bound_comes_back_exactly():
    scales = Unknowns(RELAXATION, {"t2": (7.0, 1999.0)})
    for which in (0, 1):
        bounds = [torch.tensor([span[which]], dtype=torch.float32) for span in scales.spans]
        assert scales.parameters(scales.of(bounds)) == bounds


def test_a_range_that_does_not_begin_at_zero_is_the_bound():
    found = Unknowns(RELAXATION, {}).parameters(torch.full((1, 2), -100.0))
    assert [value.item() for value in found] == pytest.approx([100, 5])


def test_standard_deviations_of_relaxation_times_are_relative():
    scales = Unknowns(WATER_FAT, {})
    given = [torch.tensor([value]) for value in (0.01, 24.0, 33.0, 2.0, 0.02)]
    unknown = scales.of_std(given, TISSUE)
    assert unknown[0].tolist() == pytest.approx([0.04, 0.02 / 0.575, 0.1 / (0.25 * 475 / 350), 2 / 60, 0.08], rel=1e-5)
    for value, back in zip(given, scales.std(unknown, TISSUE), strict=True):
        assert back.item() == pytest.approx(value.item(), rel=1e-5)
