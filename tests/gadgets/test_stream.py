"""Compression and accumulation of a stream of readouts."""

from dataclasses import replace

import numpy as np
import pytest
from small_scan import complex_normal

from spokestream.gadgets.coil_compression import CoilCompression, compression_matrix
from spokestream.gadgets.messages import Geometry, SliceEnd, SliceStart, Spoke, SpokeBlock
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation

HERE = Geometry((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (300, 300, 8))


def spoke(rng, index, n_coils=3, n_samples=7, number=0):
    return Spoke(complex_normal(rng, n_coils, n_samples), np.zeros((n_samples, 2), np.float32), index, number, HERE)


def test_compression_keeps_the_signal_of_few_sources_and_the_whiteness_of_noise(rng):
    sources, mix = complex_normal(rng, 20, 2, 30), complex_normal(rng, 9, 2)
    data = np.einsum("cm,nms->ncs", mix, sources)
    matrix, kept = compression_matrix(data, 4)
    assert kept == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(matrix @ matrix.conj().T, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(matrix @ data, axis=1), np.linalg.norm(data, axis=1), rtol=1e-4)


def test_compression_holds_back_only_the_calibration(scan, rng):
    gadget = CoilCompression(scan, n_coils=2, calibration_spokes=4)
    out = [list(gadget.feed(spoke(rng, i, n_coils=5))) for i in range(6)]
    assert [len(messages) for messages in out] == [1, 0, 0, 4, 1, 1]
    assert out[0] == [SliceStart(0, n_coils=2)]
    assert list(gadget.feed(SliceEnd(0, HERE)))[-1] == SliceEnd(0, HERE)
    # a slice shorter than the calibration still leaves
    assert list(gadget.feed(spoke(rng, 0, n_coils=5))) == [SliceStart(0, n_coils=2)]
    short = list(gadget.feed(SliceEnd(1, HERE)))
    assert [type(m) for m in short] == [Spoke, SliceEnd]
    assert short[0].data.shape == (2, 7)


def test_frames_leave_when_complete_whatever_the_order(scan, rng):
    gadget = SpokeAccumulation(scan)
    spokes = [spoke(rng, i) for i in range(16)]
    order = [1, 0, 2, 3, 4, 5, 6, 8, 7, 9, 10, 11, 12, 13, 15]
    blocks = [(i, block) for i in order for block in gadget.feed(spokes[i])]
    assert [(i, block.frame, block.missing) for i, block in blocks] == [(7, 0, 0)]
    np.testing.assert_array_equal(blocks[0][1].indices, np.arange(8))
    np.testing.assert_array_equal(blocks[0][1].data, np.stack([s.data for s in spokes[:8]], axis=1))
    incomplete, end = gadget.feed(SliceEnd(0, HERE))
    assert isinstance(incomplete, SpokeBlock)
    assert (incomplete.frame, incomplete.missing, list(incomplete.indices)) == (1, 1, [8, 9, 10, 11, 12, 13, 15])
    assert end == SliceEnd(0, HERE)


def test_the_area_of_samples_is_divided_among_the_readouts_of_a_frame(scan, rng):
    gadget = SpokeAccumulation(scan)
    areas = rng.random((7, 7), np.float32)
    for i in range(7):  # one of eight is missing
        assert list(gadget.feed(replace(spoke(rng, i), density=areas[i]))) == []
    block, _ = gadget.feed(SliceEnd(0, HERE))
    np.testing.assert_allclose(block.density, areas / 7, rtol=1e-6)


def test_a_last_frame_may_be_shorter(scan, rng):
    scan.sequence.__dict__["spokes_per_frame"] = 12  # 80 spokes: 6 frames of 12 and one of 8
    gadget = SpokeAccumulation(scan)
    blocks = [block for i in range(80) for block in gadget.feed(spoke(rng, i))]
    assert [len(block.indices) for block in blocks] == [12] * 6 + [8]
