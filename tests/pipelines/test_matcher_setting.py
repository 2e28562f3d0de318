"""The setting `matcher`: who may set it, what it changes, and what is refused before the first spoke."""

import logging

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.gadgets.matching.matchers import ONE_POOL
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

LOG = logging.getLogger("test")


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """The maps of a small brain by every matcher of one pool, and the names in the metadata."""
    path = tmp_path_factory.mktemp("brain") / "brain.h5"
    simulate_scan(path, SimulationSettings(anatomy="brain", matrix=48, coils=3, seed=3, sequence="fisp-song-200"))
    scan = read_scan(path)
    found = {}
    for name in ONE_POOL:
        chain = start_scan(select("mrf_t1t2").with_parameters({"matcher": name}), scan.xml, LOG)
        images = [item for item in run_chain(chain, scan) if isinstance(item, ismrmrd.Image)]
        assert {image.meta["spokestream_matcher"] for image in images} == {name}
        found[name] = {name: volume[0] for name, volume in map_volumes(images).items()}
    return found


def test_the_inner_product_gives_the_very_maps_of_the_exact_search(maps):
    for name, exact in maps["exact"].items():
        np.testing.assert_array_equal(maps["inner-product"][name], exact, name)


@pytest.mark.parametrize("name", [name for name in ONE_POOL if name != "exact"])
def test_no_matcher_explains_more_than_the_exact_one(maps, name):
    tissue = maps["exact"]["correlation"] > 0
    assert tissue.sum() > 500
    assert (maps[name]["correlation"] <= maps["exact"]["correlation"]).all()
    assert (maps[name]["correlation"][tissue] > 0).all()


def test_groups_hardly_differ_and_few_singular_vectors_do(maps):
    tissue = maps["exact"]["t1"] > 0
    groups, svd = ((maps[name]["t2"] == maps["exact"]["t2"])[tissue].mean() for name in ("groups", "svd"))
    assert svd < groups
    assert groups > 0.99  # four of 128 groups miss 0.4 % of voxels at the noise of such a scan


@pytest.mark.parametrize(
    ("pipeline", "sequence", "matcher", "able"),
    [
        ("mrf_t1ff", "t1ff-2d-1400", "svd", "two pools; choose one of exact, promising, clusters"),
        ("mrf_t1t2", "fisp-song-200", "clusters", "one pool; choose one of exact, inner-product, svd, groups, spatio"),
    ],
)
def test_a_matcher_for_other_pools_is_refused_before_the_first_spoke(pipeline, sequence, matcher, able):
    space = (
        "<matrixSize><x>{0}</x><y>{0}</y><z>1</z></matrixSize><fieldOfView_mm><x>{0}</x><y>{0}</y><z>8</z>"
        "</fieldOfView_mm>"
    )
    header = (
        "<ismrmrdHeader><acquisitionSystemInformation><systemFieldStrength_T>3</systemFieldStrength_T>"
        f"</acquisitionSystemInformation><encoding><encodedSpace>{space.format(64)}</encodedSpace>"
        f"<reconSpace>{space.format(32)}</reconSpace><trajectory>radial</trajectory></encoding></ismrmrdHeader>"
    )
    selection = select(pipeline).with_parameters({"matcher": matcher, "sequence": sequence})
    with pytest.raises(InputError, match=f"The matcher '{matcher}' cannot search a dictionary of {able}"):
        start_scan(selection, header, LOG)


def test_an_unknown_matcher_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="matcher must be one of auto, exact, promising, inner-product, svd, groups, "):
        select("mrf_t1t2").with_parameters({"matcher": "nearest"})
