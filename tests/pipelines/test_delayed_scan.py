"""A simulated scan with delayed gradients: its maps are those of the same scan without delays."""

import numpy as np
import pytest

from spokestream import reconstruct
from spokestream.pipelines.files.truth import judged_voxels, read_truth
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A thigh of 96 pixels without and with delays."""
    folder = tmp_path_factory.mktemp("delays")
    for name, delays in (("still", (0.0, 0.0)), ("late", (0.5, -0.5))):
        simulate_scan(folder / f"{name}.h5", SimulationSettings(matrix=96, coils=4, seed=3, delays=delays))
    return folder / "still.h5", folder / "late.h5"


def test_corrected_maps_are_those_without_delays(scans):
    """Means of FF agree within 0.003 and of water T1 within 5 ms; pixels differ by less than half as without it."""
    still, late = (reconstruct(path, "mrf_t1ff_net") for path in scans)
    delayed = reconstruct(scans[1], "mrf_t1ff_net", delays="off")
    truth = read_truth(truth_path(scans[0]))
    judged = [judged_voxels(maps.values, truth) for maps in (still, late, delayed)]
    for name, bias in (("ff", 0.003), ("t1h2o", 5.0), ("t1fat", 2.0), ("deltaf", 0.2), ("b1", 0.002)):
        voxels = np.all([masks[name] for masks in judged], axis=0)
        changed = (late.values[name] - still.values[name])[voxels]
        assert abs(changed.mean()) < bias
        if name in ("ff", "t1h2o"):
            assert changed.std() < 0.5 * (delayed.values[name] - still.values[name])[voxels].std()
    assert late.provenance["gradient_delays"] == "corrected"
    assert "gradient_delays" not in delayed.provenance


def test_a_scan_without_delays_is_not_changed_by_the_search_for_them(scans):
    searched, ignored = (reconstruct(scans[0], "mrf_t1ff", delays=delays) for delays in ("auto", "off"))
    assert searched.provenance["gradient_delays"] == "none found"
    for name, values in searched.values.items():
        np.testing.assert_array_equal(values, ignored.values[name])
