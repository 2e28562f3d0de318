"""T1 and T2 that were matched as if pulses were perfect, corrected for known ones, with signals of another engine."""

import numpy as np
import pytest
import torch
from simulated_head import SHAPE, head

from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.model_fit.pulse_errors import signal_of_voxels, without_pulse_errors
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION

EVERYWHERE = np.ones(SHAPE, bool)


@pytest.fixture(scope="module")
def sequence():
    return load_sequence("fisp-song-200")


@pytest.fixture(scope="module")
def dictionary(sequence):
    return RELAXATION.dictionary(sequence)


@pytest.fixture(scope="module")
def basis(sequence, dictionary):
    return compressed_basis(sequence, dictionary.signals(slice(None, None, 20)))


@pytest.fixture(scope="module")
def signal(sequence, basis):
    return signal_of_voxels(sequence, basis)


def matched(coefficients, sequence, dictionary, basis):
    """T1 and T2 (voxels,) of the atoms that are nearest to coefficients (K, y, x)."""
    gadget = DictionaryMatching(simulated_scan(sequence, 1), RELAXATION, dictionary)
    (found,) = gadget.feed(Fingerprints(coefficients, basis, EVERYWHERE, 0, NOWHERE))
    return found.maps["t1"].ravel(), found.maps["t2"].ravel()


def test_the_true_values_are_found_within_a_step_of_the_dictionary(sequence, dictionary, basis, signal):
    coefficients, t1, t2, b1 = head(sequence, basis, 0.9, aliasing=0)
    t1_found, t2_found = matched(coefficients, sequence, dictionary, basis)
    t1_right, t2_right, _ = without_pulse_errors(t1_found, t2_found, b1.ravel(), 0.9, signal)
    for name, before, after, true in (("t1", t1_found, t1_right, t1), ("t2", t2_found, t2_right, t2)):
        # rounding to the nearest atom is an error of 0.29 steps along both axes, and the one of T1 shifts T2 as well
        step = np.diff(np.log(dictionary.axes[name])).max()
        wrong, right = (np.sqrt(np.mean(np.log(values / true.ravel()) ** 2)) for values in (before, after))
        assert wrong > 3 * step
        assert right < step


def test_perfect_pulses_change_nothing(signal):
    t1, t2 = np.float32([120, 330, 830, 1400, 4700, 5000]), np.float32([20, 60, 75, 110, 1900, 2400])
    found = without_pulse_errors(t1, t2, np.ones_like(t1), 1.0, signal)
    np.testing.assert_allclose(found, (t1, t2, np.ones_like(t1)), rtol=1e-4)


def test_the_factor_of_the_proton_density_is_the_ratio_of_the_signals(signal):
    t1, t2, b1 = np.float32([830, 1400]), np.float32([75, 110]), np.float32([0.85, 1.1])
    t1_right, t2_right, factor = without_pulse_errors(t1, t2, b1, 0.95, signal)

    def size(t1, t2, b1, efficiency):
        fingerprints, _ = signal.at(torch.from_numpy(t1), torch.from_numpy(t2), torch.from_numpy(b1), efficiency)
        return torch.linalg.vector_norm(fingerprints, dim=1).numpy()

    # what is left of the difference is at right angles to the signal, and below a percent of its energy
    wanted = size(t1, t2, np.ones_like(b1), 1.0) / size(t1_right, t2_right, b1, 0.95)
    np.testing.assert_allclose(factor, wanted, rtol=0.01)


def test_the_number_of_threads_changes_no_bit(signal):
    t1 = np.random.default_rng(0).uniform(300, 3000, 9001).astype(np.float32)
    one, three = (without_pulse_errors(t1, t1 / 10, 0.5 + t1 / 3000, 0.95, signal, n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)
