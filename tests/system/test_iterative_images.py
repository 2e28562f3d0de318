"""The setting `images`: low-rank inversion in the chain, against the truth and against the adjoint."""

import logging

import numpy as np
import pytest

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.gadget import Chain
from spokestream.pipelines.api import reconstruct
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.tissue_errors import tissue_errors
from spokestream.pipelines.files.truth import read_truth
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.pipelines.settings import T1FFSettings, T1T2Settings
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    path = tmp_path_factory.mktemp("brain") / "brain.h5"
    simulate_scan(path, SimulationSettings(anatomy="brain", matrix=64, coils=4, sequence="fisp-fang-576"))
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    path = tmp_path_factory.mktemp("short") / "short.h5"
    simulate_scan(path, SimulationSettings(anatomy="brain", matrix=48, coils=4, sequence="fisp-song-200"))
    return path


@pytest.fixture(scope="module")
def iterative_maps(short):
    """The maps of one thread."""
    return reconstruct(short, "mrf_t1t2", images="iterative", threads=1)


def white_matter(path, **settings):
    """The root-mean-square errors of T1 and T2 in voxels of white matter only, and the maps."""
    maps = reconstruct(path, "mrf_t1t2", **settings)
    rows = tissue_errors(maps.values, read_truth(truth_path(path)))
    return {row.name: row.rmse for row in rows if row.tissue == "white matter" and row.pure}, maps


def test_inversion_removes_the_aliasing_from_t2(brain):
    adjoint, plain = white_matter(brain, images="adjoint")
    iterative, maps = white_matter(brain, images="iterative")
    assert iterative["t2"] < adjoint["t2"] / 2
    assert iterative["t1"] < 1.2 * adjoint["t1"]
    assert (plain.provenance["images"], maps.provenance["images"]) == ("adjoint", "iterative")
    np.testing.assert_array_equal(maps["t1"] > 0, plain["t1"] > 0)  # the foreground is that of the adjoint


def test_bits_do_not_depend_on_the_number_of_threads(short, iterative_maps):
    assert_same_values(reconstruct(short, "mrf_t1t2", images="iterative", threads=3), iterative_maps)


def test_refined_water_t1_is_not_biased_by_the_prior_of_the_inversion(tmp_path):
    """An efficiency that is one percent too low makes water T1 13 ms too long; here it may be off by two percent."""
    path = tmp_path / "thigh.h5"
    simulate_scan(path, SimulationSettings(matrix=64, coils=4))
    maps = reconstruct(path, "mrf_t1ff", images="iterative", refine="on").values
    truth = read_truth(truth_path(path))
    lean = truth.tissue & ~truth.bone & (truth.maps["ff"] < 0.4) & (maps["t1h2o"] > 0)
    assert abs(np.mean((maps["t1h2o"] - truth.maps["t1h2o"])[lean])) < 2 * 13


def test_frames_cannot_be_inverted(tmp_path):
    path = tmp_path / "thigh.h5"
    simulate_scan(path, SimulationSettings(matrix=32, coils=2))
    with pytest.raises(InputError, match="Iterative images need the compressed basis, not basis=frames"):
        reconstruct(path, "mrf_t1ff", images="iterative", basis="frames")


def test_iterative_images_are_for_t1_and_t2_in_the_compressed_basis():
    assert T1T2Settings().inverts
    assert not T1T2Settings(basis="frames").inverts
    assert not T1T2Settings(basis="window").inverts
    assert not T1T2Settings(images="adjoint").inverts
    assert not T1FFSettings().inverts
    assert T1FFSettings(images="iterative").inverts


def fingerprints(path, images):
    """The fingerprints of the first slice of a scan, as they reach matching."""
    scan = read_scan(path)
    gadgets = start_scan(
        select("mrf_t1t2").with_parameters({"images": images}), scan.xml, logging.getLogger("test")
    ).gadgets
    first = next(i for i, gadget in enumerate(gadgets) if isinstance(gadget, DictionaryMatching))
    (found,) = run_chain(Chain(gadgets[:first]), scan)
    return found


def test_iterative_images_come_with_those_of_the_adjoint_because_their_own_background_is_0(short):
    adjoint, iterative = (fingerprints(short, images) for images in ("adjoint", "iterative"))
    assert adjoint.adjoint is None
    np.testing.assert_array_equal(iterative.adjoint.data, adjoint.data)
    np.testing.assert_array_equal(iterative.foreground, adjoint.foreground)
    background = (iterative.data == 0).all(0)
    assert background.any()
    assert adjoint.data[:, background].all()


def assert_same_values(maps, expected):
    assert maps.values.keys() == expected.values.keys()
    for name, values in expected.values.items():
        np.testing.assert_array_equal(maps.values[name], values, name)


def test_t1_and_t2_are_matched_in_iterative_images_unless_the_settings_say_otherwise(short, iterative_maps):
    maps = reconstruct(short, "mrf_t1t2")
    assert maps.provenance["images"] == "iterative"
    assert_same_values(maps, iterative_maps)


def test_water_and_fat_are_matched_in_images_of_the_adjoint(tmp_path):
    path = tmp_path / "thigh.h5"
    simulate_scan(path, SimulationSettings(matrix=48, coils=2))
    maps = reconstruct(path, "mrf_t1ff")
    assert maps.provenance["images"] == "adjoint"
    assert_same_values(maps, reconstruct(path, "mrf_t1ff", images="adjoint"))


def test_whole_images_are_not_inverted_by_default(tmp_path):
    path = tmp_path / "epi.h5"
    simulate_scan(
        path,
        SimulationSettings(anatomy="brain", matrix=32, coils=2, sequence="epi-cohen-25", arms="epi", oversampling=1),
    )
    maps = reconstruct(path, "mrf_t1t2")
    assert maps.provenance["images"] == "adjoint, because every readout is a whole image"
    assert_same_values(maps, reconstruct(path, "mrf_t1t2", images="adjoint"))


@pytest.mark.parametrize("limit", ["MOST_COIL_BYTES", "MOST_UNASKED_BYTES"])
def test_without_memory_for_an_inversion_the_default_warns_and_takes_the_adjoint(short, monkeypatch, caplog, limit):
    """The grids of the coils take 2.1 MB, and the point spread functions of all pairs of images 24 MB."""
    monkeypatch.setattr(f"spokestream.gadgets.gridding.{limit}", 1 << 21)
    with caplog.at_level(logging.WARNING):
        maps = reconstruct(short, "mrf_t1t2")
    assert maps.provenance["images"] == "adjoint, because iterative images need too much memory"
    assert "Slice 1: iterative images need too much memory, so that those of the adjoint are matched" in caplog.text
    assert_same_values(maps, reconstruct(short, "mrf_t1t2", images="adjoint"))


def test_an_inversion_that_was_asked_for_is_refused_without_memory_for_the_grids_of_all_coils(short, monkeypatch):
    monkeypatch.setattr("spokestream.gadgets.gridding.MOST_COIL_BYTES", 1 << 21)
    with pytest.raises(ScanError, match="Iterative images take 18 images of 4 coils; compress to fewer coils"):
        reconstruct(short, "mrf_t1t2", images="iterative")
