import pytest

from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.node.server import local_server
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="session")
def scan_path(tmp_path_factory):
    """A scan of two slices of a small thigh, 1,400 spokes each, with noise and a truth file."""
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    simulate_scan(path, SimulationSettings(matrix=48, coils=5, slices=2, seed=3))
    return path


@pytest.fixture(scope="session")
def scan(scan_path):
    return read_scan(scan_path)


@pytest.fixture(scope="session")
def first_slice(scan):
    """The noise readouts and the 1,400 spokes of slice 0; tests must copy them before they change them."""
    return [acquisition for acquisition in scan if acquisition.idx.slice == 0]


@pytest.fixture(scope="session")
def thigh(tmp_path_factory):
    """Readouts of 4 us a sample, in which fat turns as much until their ends as in 256 pixels and 2 us."""
    path = tmp_path_factory.mktemp("thigh") / "thigh.h5"
    simulate_scan(path, SimulationSettings(matrix=128, coils=4, dwell_us=4.0))
    return path


@pytest.fixture
def port():
    with local_server() as port:
        yield port
