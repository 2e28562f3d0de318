import pytest

from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.node.server import local_server
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="session")
def scan_path(tmp_path_factory):
    """Two slices of a small thigh, 1,400 spokes each, with noise and its truth beside it."""
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    simulate_scan(path, SimulationSettings(matrix=48, coils=5, slices=2, seed=3))
    return path


@pytest.fixture(scope="session")
def scan(scan_path):
    return read_scan(scan_path)


@pytest.fixture(scope="session")
def first_slice(scan):
    """Noise readouts and the 1,400 spokes of slice 0, to be copied before they are spoiled."""
    return [acquisition for acquisition in scan if acquisition.idx.slice == 0]


@pytest.fixture
def port():
    with local_server() as port:
        yield port
