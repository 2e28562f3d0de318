"""Provisional matching: when a train encodes the maps, and whether the maps of an incomplete slice are right."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_scan import short_fisp

from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.provisional_matching import ProvisionalMatching, encodes
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import frame_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

TISSUES = {
    "ff": (0.1, 0.6),
    "t1h2o": (1300.0, 900.0),
    "t1fat": (350.0, 320.0),
    "deltaf": (-37.0, 22.0),
    "b1": (0.93, 0.78),
}
"""Values between those of the grid."""


def without_later(basis, frames):
    return basis.without(list(range(frames, len(basis.weights))))


@pytest.mark.parametrize(
    ("frames", "enough"),
    [(100, False), (100 + 11, False), (100 + 12, True), (150, True), (175, True)],
)
def test_water_and_fat_need_96_spokes_of_a_second_echo_time(frames, enough):
    sequence = load_sequence("t1ff-2d-1400")  # 800 spokes, 100 frames, of the first echo time
    assert encodes(WATER_FAT, sequence, without_later(frame_basis(sequence), frames)) is enough


def test_an_echo_time_of_few_spokes_needs_all_of_them(sequence):
    basis = frame_basis(sequence)  # 48, 16 and 16 spokes, in frames of eight
    assert [encodes(WATER_FAT, sequence, without_later(basis, n)) for n in (6, 7, 8)] == [False, False, True]
    assert not encodes(WATER_FAT, sequence, basis.without(list(range(10))))


def test_t1_and_t2_need_one_echo_time():
    sequence = short_fisp()
    basis = frame_basis(sequence)
    assert not encodes(RELAXATION, sequence, without_later(basis, 59))
    assert encodes(RELAXATION, sequence, basis)
    long = load_sequence("fisp-fang-576")
    assert [encodes(RELAXATION, long, without_later(frame_basis(long), n)) for n in (287, 288)] == [False, True]


@pytest.fixture(scope="module")
def closed_form(basis):
    return WATER_FAT.closed_form(load_sequence("t1ff-2d-1400"), basis)


def slice_of_two_tissues(closed_form, basis, side, noise=0.0):
    """(2 side, 2 side) pixels, the left half of one tissue and the right half of the other."""
    columns = [torch.tensor(TISSUES[name], dtype=torch.float32) for name in WATER_FAT.names]
    signal, _ = closed_form.through(basis).at(*columns)
    of_tissue = (torch.exp(torch.tensor(0.7j)) * signal).numpy()
    data = np.repeat(of_tissue[:, :, None], side, 0).reshape(2 * side, -1, 1).repeat(2 * side, 2).transpose(1, 2, 0)
    rng = np.random.default_rng(3)
    size = noise * np.abs(data).mean()
    data = data + size * (rng.standard_normal(data.shape) + 1j * rng.standard_normal(data.shape))
    data[~basis.weights.any(axis=0)] = 0
    mask = np.ones(data.shape[1:], bool)
    mask[0] = False
    return Fingerprints(data.astype(np.complex64), basis, mask, 0, NOWHERE)


def maps_of(message, closed_form, dictionary, threads=1, check_conjugation=False):
    n = max(message.foreground.shape)
    header = ScanHeader("", (2 * n, 2 * n, 1), (2.0 * n, 2.0 * n, 8.0), (n, n, 1), (1.0 * n, 1.0 * n, 8.0))
    scan = ScanContext(header, closed_form.sequence, threads=threads, log=logging.getLogger("test"))
    gadget = ProvisionalMatching(scan, WATER_FAT, lambda: dictionary, closed_form, check_conjugation)
    (found,) = gadget.feed(message)
    return found


@pytest.mark.parametrize(("frames", "side"), [(120, 6), (160, 6), (120, 70)])
def test_clean_fingerprints_of_two_or_three_echo_times_give_the_tissues(closed_form, basis, dictionary, frames, side):
    message = slice_of_two_tissues(closed_form, without_later(basis, frames), side)
    found = maps_of(message, closed_form, dictionary)
    # a tenth of the steps of the published grid: the fit is continuous, and what is left is its ridge
    tolerances = {"ff": 0.004, "t1h2o": 8.0, "deltaf": 1.0, "b1": 0.006}
    for name, tolerance in tolerances.items():
        values = found.maps[name]
        assert values.shape == message.foreground.shape
        assert np.all(values[0] == 0)
        for half, true in zip((values[1:, :side], values[1:, side:]), TISSUES[name], strict=True):
            np.testing.assert_allclose(half[:, 2:-2], true, atol=tolerance, err_msg=name)
        assert np.all(found.maps[f"{name}_std"][1:] > 0)


def test_standard_deviations_shrink_with_the_spokes(closed_form, basis, dictionary):
    medians = []
    for frames in (112, 130, 150, 175):
        message = slice_of_two_tissues(closed_form, without_later(basis, frames), 8, noise=0.05)
        maps = maps_of(message, closed_form, dictionary).maps
        medians.append([np.median(maps[f"{name}_std"][1:]) for name in ("ff", "t1h2o", "deltaf")])
    assert np.all(np.diff(medians, axis=0) < 0)


def test_conjugates_are_found_in_an_incomplete_slice(closed_form, basis, dictionary):
    message = slice_of_two_tissues(closed_form, without_later(basis, 130), 20)
    mirror = np.roll(message.data[:, ::-1, ::-1], (1, 1), (1, 2)).conj()
    conjugate = replace(message, data=mirror, foreground=np.roll(message.foreground[::-1, ::-1], (1, 1), (0, 1)))
    found = maps_of(conjugate, closed_form, dictionary, check_conjugation=True)
    expected = maps_of(message, closed_form, dictionary)
    np.testing.assert_array_equal(found.maps["ff"], expected.maps["ff"])
