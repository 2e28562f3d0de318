"""Unusual samples: any scale, and spokes that do not belong, give the maps of the scan without them."""

import logging
from dataclasses import dataclass

import ismrmrd
import numpy as np
import pytest

from spokestream.pipelines.api import reconstruct

MAPS = ("ff", "t1h2o", "t1fat", "deltaf", "b1")


@dataclass(frozen=True)
class EditedScan:
    """A scan whose readouts were changed."""

    xml: str
    readouts: list[ismrmrd.Acquisition]

    @property
    def n_acquisitions(self):
        return len(self.readouts)

    def __iter__(self):
        return iter(self.readouts)


def changed(scan, readouts, change):
    """The scan with the samples of readouts changed: change(index of the spoke or None, samples)."""
    edited = []
    for readout in readouts:
        noise = readout.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        data = change(None if noise else readout.idx.kspace_encode_step_1, readout.data)
        if data is not None:
            edited.append(ismrmrd.Acquisition(readout.getHead(), np.asarray(data, np.complex64), readout.traj))
    return EditedScan(scan.xml, edited)


@pytest.fixture(scope="module", params=[True, False], ids=["noise readouts", "no noise readouts"])
def keeps_noise(request):
    return request.param


@pytest.fixture(scope="module")
def expected(scan, first_slice, keeps_noise):
    keep = changed(scan, first_slice, lambda index, data: None if index is None and not keeps_noise else data)
    return reconstruct(keep, "mrf_t1ff")


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e-3, 1e7, 1e15, 1e30])
def test_the_scale_of_the_samples_changes_no_map(scan, first_slice, keeps_noise, expected, scale):
    def scaled(index, data):
        return None if index is None and not keeps_noise else data * np.float32(scale)

    maps = reconstruct(changed(scan, first_slice, scaled), "mrf_t1ff")
    tissue = expected.values["pd"] > 0
    np.testing.assert_array_equal(maps.values["pd"] > 0, tissue)
    for name in MAPS:
        change = np.abs(maps.values[name] - expected.values[name])[tissue]
        # rounding may choose the next entry of the dictionary in few voxels, which are equally good there
        assert np.mean(change > 1e-3 * np.ptp(expected.values[name][tissue])) < 0.01, name


def with_spikes(index, data):
    """Samples in 2 % of the spokes that are 1,000 times larger than any other."""
    if index is not None and index % 50 == 7:
        data = data.copy()
        data[1, (7 * index) % data.shape[1]] = 1e6
    return data


def with_signs(index, data):
    """Wrong signs in 5 % of the spokes."""
    return -data if index is not None and index % 20 == 3 else data


@pytest.mark.parametrize(("change", "kind", "n"), [(with_spikes, "spikes", 28), (with_signs, "unlike_neighbours", 70)])
def test_spokes_that_do_not_belong_are_left_out_exactly(scan, first_slice, change, kind, n, caplog):
    def without(index, data):
        return data if change(index, data) is data else None

    expected = reconstruct(changed(scan, first_slice, without), "mrf_t1ff")
    with caplog.at_level(logging.WARNING, logger="spokestream"):
        maps = reconstruct(changed(scan, first_slice, change), "mrf_t1ff")
    assert expected.integrity[0]["missing"] == maps.integrity[0][kind] == n
    assert f"{n} of 1400 spokes were left out" in caplog.text
    for name in MAPS:
        np.testing.assert_array_equal(maps.values[name], expected.values[name])


def test_conjugate_samples_give_the_same_maps_when_it_is_set_and_nearly_the_same_when_it_is_found(scan, first_slice):
    expected = reconstruct(changed(scan, first_slice, lambda index, data: data), "mrf_t1ff")
    conjugate = changed(scan, first_slice, lambda index, data: data.conj())
    as_set = reconstruct(conjugate, "mrf_t1ff", conjugate="yes")
    found = reconstruct(conjugate, "mrf_t1ff")
    for name in MAPS:
        np.testing.assert_array_equal(as_set.values[name], expected.values[name])
    both = (found.values["pd"] > 0) & (expected.values["pd"] > 0)
    assert both.sum() > 0.95 * (expected.values["pd"] > 0).sum()
    change = (found.values["ff"] - expected.values["ff"])[both]
    assert np.median(np.abs(change)) < 0.02
    assert "mirrored" in found.provenance["conjugation"]
    assert "conjugation" not in reconstruct(conjugate, "mrf_t1ff", conjugate="no").provenance
