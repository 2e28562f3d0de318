"""Maps of matching, corrected for the inversion and the B1 that the slice itself shows."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from simulated_head import SHAPE, head

from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.pulse_correction import PulseCorrection
from spokestream.gadgets.scan.cancellation import CancelledScanError
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION

EFFICIENCY = 0.92
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
def slice_of_head(sequence, basis):
    """The fingerprints of a head, and its T1 and T2."""
    coefficients, t1, t2, _ = head(sequence, basis, EFFICIENCY, side=7)
    return Fingerprints(coefficients, basis, EVERYWHERE, 0, NOWHERE), t1, t2


@pytest.fixture(scope="module")
def matched(sequence, dictionary, slice_of_head):
    (maps,) = DictionaryMatching(simulated_scan(sequence, 1), RELAXATION, dictionary).feed(slice_of_head[0])
    return replace(maps, maps=maps.maps | {"pd": np.ones(SHAPE, np.float32), "trust": np.ones(SHAPE, np.float32)})


def test_the_slice_tells_its_inversion_and_loses_the_bias(sequence, basis, slice_of_head, matched):
    _, t1, t2 = slice_of_head
    scan = simulated_scan(sequence, 1)
    (corrected,) = PulseCorrection(scan, basis).feed(matched)
    assert scan.provenance["refinement"] == "for the inversion and B1, in slices with an inversion efficiency"
    # the standard deviation of the efficiency is 0.003 here
    assert corrected.inversion_efficiency == pytest.approx(EFFICIENCY, abs=0.01)
    for name, true in (("t1", t1), ("t2", t2)):
        before, after = (np.mean(maps.maps[name] / true - 1) for maps in (matched, corrected))
        assert abs(before) > 0.05
        assert abs(after) < 0.015
    np.testing.assert_array_equal(corrected.maps["trust"], matched.maps["trust"])
    assert np.ptp(corrected.maps["pd"]) > 0.05


def test_standard_deviations_keep_their_ratio_to_the_map(sequence, basis, matched):
    given = replace(matched, maps=matched.maps | {"t1_std": np.float32(0.1) * matched.maps["t1"]})
    (corrected,) = PulseCorrection(simulated_scan(sequence, 1), basis).feed(given)
    np.testing.assert_allclose(corrected.maps["t1_std"], 0.1 * corrected.maps["t1"], rtol=1e-5)


def test_the_adjoint_of_iterative_images_shows_the_pulses(sequence, basis, matched):
    adjoint = matched.fingerprints
    hidden = replace(matched, fingerprints=replace(adjoint, data=np.zeros_like(adjoint.data), adjoint=adjoint))
    (shown,), (wanted,) = (PulseCorrection(simulated_scan(sequence, 1), basis).feed(each) for each in (hidden, matched))
    assert shown.inversion_efficiency == wanted.inversion_efficiency
    np.testing.assert_array_equal(shown.maps["t1"], wanted.maps["t1"])


@pytest.mark.parametrize(("rows", "kept"), [(3, 1.0), (80, 0.3)])
def test_a_little_tissue_or_mostly_fluid_does_not_tell_the_pulses(sequence, basis, matched, rows, kept):
    y, x = np.indices(SHAPE)
    t1 = np.where(x < kept * SHAPE[1], matched.maps["t1"], np.float32(4000))
    given = replace(matched, maps=matched.maps | {"t1": t1}, foreground=y < rows)
    (passed,) = PulseCorrection(simulated_scan(sequence, 1), basis).feed(given)
    assert passed is given


def test_the_client_is_warned_of_pulses_that_are_too_far_from_nominal(sequence, basis, dictionary, monkeypatch, caplog):
    monkeypatch.setattr("simulated_head.B1", np.linspace(0.35, 0.5, 41))
    coefficients, *_ = head(sequence, basis, 0.95, side=7)
    slice_ = Fingerprints(coefficients, basis, EVERYWHERE, 0, NOWHERE)
    (given,) = DictionaryMatching(simulated_scan(sequence, 1), RELAXATION, dictionary).feed(slice_)
    scan = replace(simulated_scan(sequence, 1), log=logging.getLogger("test"))
    (passed,) = PulseCorrection(scan, basis).feed(given)
    assert passed is given
    assert "cannot be corrected for them and may be wrong" in caplog.text


def test_a_voxel_that_is_not_a_number_stays_one_voxel(sequence, basis, matched):
    data = matched.fingerprints.data.copy()
    data[:, 3, 4] = np.nan
    (corrected,) = PulseCorrection(simulated_scan(sequence, 1), basis).feed(
        replace(matched, fingerprints=replace(matched.fingerprints, data=data))
    )
    assert corrected.inversion_efficiency == pytest.approx(EFFICIENCY, abs=0.01)
    assert np.isfinite(corrected.maps["t1"]).all()


def test_a_cancelled_scan_is_not_corrected_to_the_end(sequence, basis, matched):
    scan = simulated_scan(sequence, 1)
    gadget = PulseCorrection(scan, basis)
    scan.cancellation.cancel()
    with pytest.raises(CancelledScanError):
        list(gadget.feed(matched))


def test_scans_without_an_inversion_and_bases_of_many_frames_are_passed_on(sequence, dictionary, basis, matched):
    bare = replace(sequence, inversion=False)
    (passed,) = PulseCorrection(simulated_scan(bare, 1), basis).feed(matched)
    assert passed is matched
    frames = frame_basis(sequence, dictionary.signals(slice(None, None, 20)))
    (passed,) = PulseCorrection(simulated_scan(sequence, 1), frames).feed(matched)
    assert passed is matched
