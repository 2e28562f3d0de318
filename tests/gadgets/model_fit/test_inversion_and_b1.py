"""The inversion efficiency and B1 of a head, estimated from fingerprints that another engine simulated."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracle_network import Oracle
from simulated_head import SHAPE, head

from spokestream.errors import ScanError
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.model_fit.inversion import EXPECTED
from spokestream.gadgets.model_fit.inversion_and_b1 import inversion_and_b1
from spokestream.gadgets.network.archive import NetworkArchive
from spokestream.gadgets.network.contract import Contract, Output
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.relaxation_b1 import RelaxationB1Signal

EVERYWHERE = np.ones(SHAPE, bool)


@pytest.fixture(scope="module")
def sequence():
    return load_sequence("fisp-song-200")


@pytest.fixture(scope="module")
def basis(sequence):
    return compressed_basis(sequence, RELAXATION.dictionary(sequence).signals(slice(None, None, 20)))


@pytest.fixture(scope="module")
def signal(sequence, basis):
    return RelaxationB1Signal(sequence, basis)


@pytest.mark.parametrize("efficiency", [0.9, 0.96])
def test_both_are_found(sequence, basis, signal, efficiency):
    coefficients, t1, t2, true = head(sequence, basis, efficiency)
    found, _, b1, *_ = inversion_and_b1(coefficients, basis, t1, t2, EVERYWHERE, signal)
    # the efficiency is within 0.003 here, and B1 is rounded to steps of 0.01
    assert found == pytest.approx(efficiency, abs=0.01)
    assert np.sqrt(np.mean((b1 - true) ** 2)) < 0.006


def test_maps_that_were_made_for_another_efficiency_give_the_same_estimate(sequence, basis, signal):
    coefficients, t1, t2, _ = head(sequence, basis, 0.93, 2)
    found, *_ = inversion_and_b1(coefficients, basis, t1, t2, EVERYWHERE, signal)
    wrong, *_ = inversion_and_b1(coefficients, basis, 0.96 * t1, 1.08 * t2, EVERYWHERE, signal)
    assert wrong == pytest.approx(found, abs=0.005)


def test_fat_and_fluid_have_no_effect(sequence, basis, signal):
    coefficients, t1, t2, _ = head(sequence, basis, 0.93, 3)
    beside = np.random.default_rng(3).random(SHAPE) < 0.3
    other = np.where(beside, np.float32(300), t1)
    found = inversion_and_b1(np.where(beside, 100 * coefficients, coefficients), basis, other, t2, EVERYWHERE, signal)
    wanted = inversion_and_b1(coefficients, basis, t1, t2, ~beside, signal)
    assert found.tissue == pytest.approx(0.7, abs=0.02)
    assert wanted.tissue == 1
    assert found.efficiency == wanted.efficiency
    np.testing.assert_array_equal(found.b1, wanted.b1)


def test_a_few_voxels_that_contradict_what_is_known_beforehand_do_not_decide(sequence, basis, signal):
    coefficients, t1, t2, _ = head(sequence, basis, 0.7, 4)
    few = np.zeros(SHAPE, bool)
    few[40, 40:48] = True
    found, std, b1, *_ = inversion_and_b1(coefficients, basis, t1, t2, few, signal)
    assert std > 0.025  # of the 0.03 that are known beforehand
    assert abs(found - EXPECTED) < 0.06
    assert np.abs(b1[few] - 1).max() < 0.3


def test_without_tissue_it_is_the_expected_efficiency_at_nominal_flip_angles(sequence, basis, signal):
    coefficients, t1, t2, _ = head(sequence, basis, 0.9)
    found, _, b1, *_ = inversion_and_b1(coefficients, basis, 4 * t1, t2, EVERYWHERE, signal)
    assert found == EXPECTED
    assert np.all(b1 == 1)


def test_the_number_of_threads_changes_no_bit(sequence, basis, signal):
    coefficients, t1, t2, _ = head(sequence, basis, 0.93)
    found, before = set(), torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        efficiency, _, b1, *_ = inversion_and_b1(coefficients, basis, t1, t2, EVERYWHERE, signal)
        found.add((efficiency, b1.tobytes()))
    torch.set_num_threads(before)
    assert len(found) == 1


def oracle(sequence, basis, t1, t2, images):
    """The gadget with an oracle for efficiencies of 0.9 to 1, which it gives as the standard deviation of T1."""
    outputs = Output("t1", 0.0, 5000.0, std=True), Output("t2", 0.0, 500.0)
    contract = Contract(
        "oracle", sequence, basis, 3, 0, 1, 16, outputs, (0.9, 1.0), tissue_model="relaxation", images=images
    )
    archive = NetworkArchive(contract, torch.jit.script(Oracle(np.stack([t1 / 5000, t2 / 500])).eval()), "0123456789ab")
    header = ScanHeader("", (1, 1, 1), (1.0, 1.0, 1.0), (1, 1, 1), (1.0, 1.0, 1.0))
    scan = ScanContext(header, sequence, threads=1, log=logging.getLogger("test"))
    return NetworkInference(scan, TiledNetwork(archive, "cpu", "float32"))


@pytest.mark.parametrize("images", ["adjoint", "iterative"])
def test_a_network_gets_the_efficiency_that_the_adjoint_shows(sequence, basis, signal, images):
    coefficients, t1, t2, _ = head(sequence, basis, 0.95)
    adjoint = Fingerprints(coefficients, basis, EVERYWHERE, 0, NOWHERE)
    message = adjoint if images == "adjoint" else replace(adjoint, data=np.zeros_like(coefficients), adjoint=adjoint)
    (given,) = oracle(sequence, basis, t1, t2, images).feed(message)
    wanted, *_ = inversion_and_b1(coefficients, basis, given.maps["t1"], given.maps["t2"], EVERYWHERE, signal)
    assert given.inversion_efficiency == pytest.approx(wanted, abs=1e-4)
    assert np.ptp(given.maps["t1_std"]) < 1e-3
    assert given.maps["t1_std"][0, 0] / 5000 == pytest.approx(given.inversion_efficiency, abs=1e-6)


def test_iterative_images_without_those_of_the_adjoint_are_refused(sequence, basis):
    coefficients, t1, t2, _ = head(sequence, basis, 0.95)
    gadget = oracle(sequence, basis, t1, t2, "iterative")
    with pytest.raises(ScanError, match="shows in images of the adjoint, which these iterative ones lack"):
        list(gadget.feed(Fingerprints(coefficients, basis, EVERYWHERE, 0, NOWHERE)))
