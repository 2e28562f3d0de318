"""Interpolated signals by B1 against phase graphs of exactly those values."""

import numpy as np
import pytest
import torch

from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.relaxation_b1 import RelaxationB1Signal

TISSUE = np.array([[610.0, 45.0, 0.75], [830.0, 75.0, 0.93], [1310.0, 112.0, 1.21], [2200.0, 300.0, 1.04]]).T


@pytest.fixture(scope="module")
def sequence():
    return load_sequence("fisp-fang-576")


@pytest.fixture(scope="module")
def basis(sequence):
    return compressed_basis(sequence, RELAXATION.dictionary(sequence).signals(slice(None, None, 20)))


def exact(sequence, basis, tissue, efficiency):
    t1_ms, t2_ms, b1 = tissue
    trains = fingerprint(sequence, t1_ms, t2_ms, b1=b1, inversion_efficiency=efficiency)
    return basis.project(np.asarray(trains)) / basis.noise


def interpolated(sequence, basis, tissue, efficiency):
    t1_ms, t2_ms, b1 = (torch.tensor(values, dtype=torch.float32) for values in tissue)
    return [x.numpy().real for x in RelaxationB1Signal(sequence, basis).at(t1_ms, t2_ms, b1, efficiency)]


def relative(found, wanted):
    return (np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)).max()


@pytest.mark.parametrize("efficiency", [1.0, 0.95, 0.8])
def test_signals_are_those_of_phase_graphs(sequence, basis, efficiency):
    found, _ = interpolated(sequence, basis, TISSUE, efficiency)
    assert relative(found, exact(sequence, basis, TISSUE, efficiency)) < 2e-3


def test_derivatives_are_quotients_of_phase_graphs(sequence, basis):
    _, found = interpolated(sequence, basis, TISSUE, 1.0)
    step = 1e-3
    logarithm, ends = np.array([True, True, False]), []
    for parameter in range(3):
        moved = [TISSUE.copy(), TISSUE.copy()]
        for tissue, side in zip(moved, (step, -step), strict=True):
            tissue[parameter] = tissue[parameter] * np.exp(side) if logarithm[parameter] else tissue[parameter] + side
        ends.append([exact(sequence, basis, tissue, 1.0) for tissue in moved])
    ends.append([exact(sequence, basis, TISSUE, efficiency) for efficiency in (1.0, 1.0 - 2 * step)])
    for derivative, (ahead, behind) in zip(np.moveaxis(found, 1, 0), ends, strict=True):
        assert relative(derivative, (ahead - behind) / (2 * step)) < 0.06


def test_values_beyond_those_of_tissue_are_taken_at_the_ends(sequence, basis):
    outside, _ = interpolated(sequence, basis, [[300.0], [900.0], [1.5]], 0.9)
    at_the_end, _ = interpolated(sequence, basis, [[550.0], [500.0], [1.3]], 0.9)
    np.testing.assert_allclose(outside, at_the_end, rtol=1e-6)
