"""The pipeline `mrf_t1t2` with a dictionary file of `spokestream dictionary`."""

import logging

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import FileError, ScanError
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import configure, select, start_scan
from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.t1t2 import t1t2_grid
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary, save_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

LOG = logging.getLogger("test")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("brain") / "brain.h5"
    simulate_scan(path, SimulationSettings(anatomy="brain", matrix=48, coils=3, seed=3, sequence="fisp-song-200"))
    return read_scan(path)


def maps_of(scan, **settings):
    chain = start_scan(select("mrf_t1t2", settings=configure(settings)), scan.xml, LOG)
    images = [item for item in run_chain(chain, scan) if isinstance(item, ismrmrd.Image)]
    return {name: volume[0] for name, volume in map_volumes(images).items()}, images[0].meta


def test_maps_of_a_file_are_those_of_the_computed_atoms_on_the_same_grid(scan, tmp_path):
    """Atoms from phase graphs differ by 1e-4, so that a few voxels between two atoms take the other one."""
    sequence = load_sequence("fisp-song-200")
    parameters = RELAXATION.dictionary(sequence).parameters
    grid = t1t2_grid("own", np.unique(parameters["t1"]), np.unique(parameters["t2"]), equal=True)
    build_t1t2_dictionary(tmp_path / "own.h5", sequence, grid)
    (computed, _), (read, meta) = maps_of(scan), maps_of(scan, dictionary=str(tmp_path / "own.h5"))
    assert meta["spokestream_dictionary"].startswith("own.h5, ")
    tissue = (computed["t1"] > 0) & (read["t1"] > 0)
    assert tissue.sum() > 500
    for name in ("t1", "t2"):
        step = np.abs(np.log(read[name][tissue] / computed[name][tissue]))
        assert np.quantile(step, 0.9) < 0.026, name  # a step of the grid is 0.025
    np.testing.assert_allclose(read["correlation"][tissue], computed["correlation"][tissue], atol=0.002)


def test_a_file_of_another_sequence_and_one_of_water_and_fat_are_refused(scan, tmp_path):
    grid = t1t2_grid("small", np.array([500.0, 900.0, 1400.0]), np.array([40.0, 90.0]))
    build_t1t2_dictionary(tmp_path / "other.h5", load_sequence("fisp-song-1000"), grid)
    with pytest.raises(ScanError, match="made for another sequence than this scan's: 1000 spokes against 200"):
        maps_of(scan, dictionary=str(tmp_path / "other.h5"))
    save_dictionary(tmp_path / "fat.h5", build_dictionary(load_sequence("t1ff-2d-1400")))
    with pytest.raises(FileError, match=r"another kind\); make one with `spokestream dictionary --grid song`\.$"):
        maps_of(scan, dictionary=str(tmp_path / "fat.h5"))
