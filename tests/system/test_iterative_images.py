"""The setting `images`: low-rank inversion in the chain, against the truth and against the adjoint."""

import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.pipelines.api import reconstruct
from spokestream.pipelines.files.tissue_errors import tissue_errors
from spokestream.pipelines.files.truth import read_truth
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    path = tmp_path_factory.mktemp("brain") / "brain.h5"
    simulate_scan(path, SimulationSettings(anatomy="brain", matrix=64, coils=4, sequence="fisp-fang-576"))
    return path


def white_matter(path, **settings):
    """The root-mean-square errors of T1 and T2 in voxels of white matter only, and the maps."""
    maps = reconstruct(path, "mrf_t1t2", **settings)
    rows = tissue_errors(maps.values, read_truth(truth_path(path)))
    return {row.name: row.rmse for row in rows if row.tissue == "white matter" and row.pure}, maps


def test_inversion_removes_the_aliasing_from_t2(brain):
    adjoint, plain = white_matter(brain)
    iterative, maps = white_matter(brain, images="iterative")
    assert iterative["t2"] < adjoint["t2"] / 2
    assert iterative["t1"] < 1.2 * adjoint["t1"]
    assert maps.provenance["images"] == "iterative"
    np.testing.assert_array_equal(maps["t1"] > 0, plain["t1"] > 0)  # the foreground is that of the adjoint


def test_bits_do_not_depend_on_the_number_of_threads(brain):
    one, three = (reconstruct(brain, "mrf_t1t2", images="iterative", threads=n) for n in (1, 3))
    for name, values in one.values.items():
        np.testing.assert_array_equal(values, three.values[name], name)


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
