"""Faulty scans end in right maps, in a warning that names the cause, or in one sentence of refusal."""

import importlib.util
from pathlib import Path

import pytest

from spokestream.pipelines.files.truth import read_truth
from spokestream.simulator.faults import FAULTS
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "robustness.py"
spec = importlib.util.spec_from_file_location("robustness", SCRIPT)
robustness = importlib.util.module_from_spec(spec)
spec.loader.exec_module(robustness)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    # with fewer pixels the chain warns of interference that it removes from this scan
    simulate_scan(path, SimulationSettings(matrix=56, coils=5, seed=3))
    return path


@pytest.fixture(scope="module")
def truth(path):
    return read_truth(path.with_suffix(".truth.h5"))


@pytest.fixture(scope="module")
def clean(path, truth):
    """The errors of the scan without a fault, of which nothing must warn."""
    warnings = robustness.Warnings()
    errors = robustness.errors(path, truth, "mrf_t1ff", warnings)
    assert warnings.sentences == []
    return errors


@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_gives_wrong_maps_silently(name, path, truth, clean):
    fault = FAULTS[name]
    outcome = robustness.with_fault(path, fault, fault.strengths[1], truth, clean, "mrf_t1ff")
    assert outcome.verdict in robustness.GOOD, f"{outcome.worst_map} x {outcome.worst:.1f}; said: {outcome.said}"
    if outcome.verdict == "refused":
        assert outcome.said.endswith((".", ")", "?"))
