"""Terms for every subject, against the signal written out voxel by voxel."""

import numpy as np
import pytest
from direct_sum import SHAPE, random_phantom, short_sequence

from spokestream.errors import InputError
from spokestream.simulator.expansion.spoke_terms import SpokeTerms
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.signal import pool_signal
from spokestream.simulator.physics.trajectory import golden_angles

TIME_MS = (np.arange(41) - 19) * 8e-3
DK = 1 / 1.8
RECEIVER_HZ = 150.0
TOLERANCE = 1e-3


def terms(efficiencies=(0.7, 1.0), most_delay=0.5):
    return SpokeTerms(
        short_sequence(), TIME_MS, dk=DK, efficiencies=efficiencies, most_delay=most_delay, receiver_hz=RECEIVER_HZ,
        tolerance=TOLERANCE,
    )  # fmt: skip


def written_out(phantom, efficiency, delays):
    """(voxels, spokes, samples): the phase of a delayed spoke is that of its own displacement."""
    sequence = short_sequence()
    y, x = np.nonzero(phantom.pd > 0)
    names = ("pd", "ff", "t1h2o", "t2h2o", "t1fat", "deltaf", "b1")
    pd, ff, t1h2o, t2h2o, t1fat, deltaf, b1 = (getattr(phantom, name)[y, x].astype(float) for name in names)
    water = pool_signal(sequence, np.maximum(t1h2o, 1), b1, np.inf, efficiency)
    water = water * np.exp(-sequence.te_ms / np.maximum(t2h2o, 1)[:, None])
    fat = pool_signal(sequence, np.maximum(t1fat, 1), b1, 80.0, efficiency)
    time = sequence.te_ms[:, None] + TIME_MS
    signal = (1 - ff)[:, None, None] * water[..., None] + ff[:, None, None] * fat[..., None] * FatModel().phasor(time)
    signal = signal * np.exp(-2j * np.pi * 1e-3 * (deltaf[:, None, None] * time - RECEIVER_HZ * TIME_MS))
    angle = golden_angles(np.arange(len(sequence)))
    shift = -DK * np.array([delays[0] * np.cos(angle), delays[1] * np.sin(angle)])
    turns = np.outer((x - SHAPE[1] // 2) / SHAPE[1], shift[0]) + np.outer((y - SHAPE[0] // 2) / SHAPE[0], shift[1])
    return pd[:, None, None] * signal * np.exp(-2j * np.pi * turns)[..., None]


def summed(spoke_terms, images):
    """(voxels, spokes, samples)"""
    out = np.zeros((images[0].shape[1], len(short_sequence()), TIME_MS.size), complex)
    for group, coefficients in zip(spoke_terms.groups, images, strict=True):
        for (train, evolution), image in zip(group.pairs, coefficients, strict=True):
            product = np.outer(group.trains[train], group.evolutions[evolution])
            out[:, group.spokes] += image[:, None, None] * product
    return out


@pytest.mark.parametrize(
    ("efficiency", "delays", "most"),
    [(1.0, (0.0, 0.0), 2), (0.7, (0.5, -0.5), 5), (0.83, (-0.21, 0.37), 2)],  # the largest delays come out worst
)
def test_they_sum_to_the_signal_of_any_efficiency_and_delays(efficiency, delays, most):
    every, phantom = terms(), random_phantom()
    exact = written_out(phantom, efficiency, delays)
    error = summed(every, every.images(phantom, efficiency, delays)) - exact
    assert np.linalg.norm(error) < most * TOLERANCE * np.linalg.norm(exact)


def test_without_delays_the_angle_of_a_spoke_does_not_matter():
    still, moving = terms(most_delay=0.0), terms()
    assert sum(len(g.pairs) for g in still.groups) < 0.5 * sum(len(g.pairs) for g in moving.groups)
    exact = written_out(random_phantom(), 0.9, (0, 0))
    error = summed(still, still.images(random_phantom(), 0.9, (0, 0))) - exact
    assert np.linalg.norm(error) < 2 * TOLERANCE * np.linalg.norm(exact)


def test_tissue_that_nobody_has_is_refused():
    phantom = random_phantom()
    phantom.b1[9, 9] = 1.5
    with pytest.raises(InputError, match="B1 of some tissue lies outside"):
        terms().images(phantom, 1.0, (0, 0))
