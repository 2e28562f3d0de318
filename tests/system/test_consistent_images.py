"""The setting `images=consistent`: maps of water and fat against the truth, and where there are no such images."""

import logging

import numpy as np
import pytest
import torch

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.consistency import Consistency
from spokestream.gadgets.refinement import Refinement
from spokestream.pipelines.api import reconstruct
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.truth import read_truth
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

PIPELINES = ("mrf_t1ff", "mrf_t1ff_net")


@pytest.fixture(scope="module")
def maps(thigh):
    """The maps of every pipeline, by images of the adjoint and by consistent ones, not denoised."""
    return {
        (name, images): reconstruct(thigh, name, images=images, denoise="off", threads=1)
        for name in PIPELINES
        for images in ("adjoint", "consistent")
    }


def rmse(found, path, name):
    """The error of a map in soft tissue, that of water T1 in lean tissue."""
    truth = read_truth(truth_path(path))
    mask = truth.tissue & ~truth.bone & (found["b1"] > 0)
    if name == "t1h2o":
        mask &= truth.maps["ff"] < 0.4
    return float(np.sqrt(np.mean((found[name] - truth.maps[name])[mask] ** 2)))


@pytest.mark.parametrize(
    ("pipeline", "name", "most"),
    [("mrf_t1ff", "ff", 0.9), ("mrf_t1ff", "b1", 0.9), ("mrf_t1ff_net", "ff", 1.0), ("mrf_t1ff_net", "t1h2o", 1.0)],
)
def test_errors_are_smaller_than_in_images_of_the_adjoint(thigh, maps, pipeline, name, most):
    adjoint, consistent = (rmse(maps[pipeline, images].values, thigh, name) for images in ("adjoint", "consistent"))
    assert consistent < most * adjoint


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_maps_say_which_images_they_are_of_and_are_judged_as_before(maps, pipeline):
    adjoint, consistent = (maps[pipeline, images] for images in ("adjoint", "consistent"))
    assert consistent.provenance["images"] == "consistent"
    assert consistent.provenance["refinement"] == "Gauss-Newton, pooled over neighbours"
    assert consistent.values.keys() == adjoint.values.keys()
    np.testing.assert_array_equal(consistent["b1"] > 0, adjoint["b1"] > 0)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_bits_do_not_depend_on_the_number_of_threads(thigh, maps, pipeline):
    used = torch.get_num_threads()
    try:
        torch.set_num_threads(used + 1)
        again = reconstruct(thigh, pipeline, images="consistent", denoise="off", threads=3)
    finally:
        torch.set_num_threads(used)
    for name, values in maps[pipeline, "consistent"].values.items():
        np.testing.assert_array_equal(again.values[name], values, name)


@pytest.mark.parametrize(("pipeline", "before"), [("mrf_t1ff", 1), ("mrf_t1ff_net", 0)])
def test_matching_is_refined_before_its_images_become_consistent_too(thigh, pipeline, before):
    """Those of the grid leave too much unexplained."""
    selection = select(pipeline).with_parameters({"images": "consistent"})
    kinds = [type(gadget) for gadget in start_scan(selection, read_scan(thigh).xml, logging.getLogger("test")).gadgets]
    assert kinds[: kinds.index(Consistency)].count(Refinement) == before


@pytest.mark.parametrize(
    ("pipeline", "settings", "sentence"),
    [
        ("mrf_t1ff", {"refine": "off"}, "change nothing without refinement; leave out refine=off"),
        ("mrf_t1ff_net", {"refine": "off"}, "change nothing without refinement; leave out refine=off"),
        ("mrf_t1ff", {"basis": "frames"}, "Consistent images need the compressed basis, not basis=frames"),
        ("mrf_t1t2", {"sequence": "fisp-song-200"}, "Consistent images are those of water and fat"),
    ],
)
def test_where_there_are_none_they_are_refused(thigh, pipeline, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        reconstruct(thigh, pipeline, images="consistent", **settings)


def test_only_straight_spokes_have_them(tmp_path):
    path = tmp_path / "spiral.h5"
    simulate_scan(path, SimulationSettings(matrix=32, coils=2, arms="spiral"))
    with pytest.raises(ScanError, match="Consistent images are those of straight spokes; use images = adjoint"):
        reconstruct(path, "mrf_t1ff", images="consistent")


def test_without_memory_they_are_refused(thigh, monkeypatch):
    monkeypatch.setattr("spokestream.gadgets.gridding.MOST_BYTES", 1 << 26)
    with pytest.raises(ScanError, match=r"consistent images of \(128, 128\) pixels need .* GB; use images = adjoint"):
        reconstruct(thigh, "mrf_t1ff", images="consistent")
