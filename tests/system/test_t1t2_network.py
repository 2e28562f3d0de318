"""The network of T1 and T2 that comes with the software, on a brain that it was not trained on, beside matching."""

import logging

import ismrmrd
import pytest

from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.files.truth import map_errors, read_truth
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

SETTINGS = SimulationSettings(
    anatomy="brain", matrix=200, fov_mm=200, coils=3, seed=400, sequence="fisp-fang-576", inversion_efficiency=0.95
)
"""A whole head, with the pixels of the training, but no subject of it; the inversion is as efficient as in the body. If
the field of view cuts through the head, the efficiency is found less well: 0.97 in the middle 128 mm of this one."""


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    path = tmp_path_factory.mktemp("brain") / "brain.h5"
    simulate_scan(path, SETTINGS)
    return path


def errors(path, pipeline, caplog, **settings):
    """(map, region) -> root mean square error, and the warnings of the scan."""
    scan = read_scan(path)
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        chain = start_scan(select(pipeline).with_parameters(settings), scan.xml, logging.getLogger("test"))
        volumes = map_volumes([item for item in run_chain(chain, scan) if isinstance(item, ismrmrd.Image)])
    rows = map_errors(volumes, read_truth(truth_path(path)))
    return {(row.name, row.tissue): row.rmse for row in rows}, [record.message for record in caplog.records]


LEAST_GAIN = {("t1", "tissue"): 1.4, ("t1", "fluid"): 1.0, ("t2", "tissue"): 10.0, ("t2", "fluid"): 5.0}
"""(map, region) -> errors of matching on images of the adjoint over those of the network. In ten whole brains they are
1.8 and 2.3 for T1 of grey matter and of fluid, and 12 and 8 for T2 (docs/evaluation.md)."""


def test_t1_is_better_and_t2_much_better_than_by_matching(brain, caplog):
    matched, _ = errors(brain, "mrf_t1t2", caplog, images="adjoint")
    found, warnings = errors(brain, "mrf_t1t2_net", caplog)
    assert not [warning for warning in warnings if "trained for" in warning]
    assert set(found) == set(LEAST_GAIN)
    for place, gain in LEAST_GAIN.items():
        assert found[place] < matched[place] / gain, place
