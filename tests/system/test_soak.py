"""The soak of a node runs at its small size, and finds faults where there are some."""

import importlib
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("soak")


def test_a_node_serves_good_and_bad_sessions(soak, capsys):
    assert soak.main(["--quick"]) == 0
    assert "hangs 0, wrong digests 0" in capsys.readouterr().out


def test_one_of_five_sessions_misbehaves_and_all_ways_do_equally_often(soak):
    kinds = [kind for kind, _ in soak.plan(500, 5, np.random.default_rng(0))]
    assert kinds.count("good") == 400
    assert {kind: kinds.count(kind) for kind in soak.MISBEHAVIOURS} == dict.fromkeys(soak.MISBEHAVIOURS, 10)


def test_maps_of_another_scan_are_a_fault(soak):
    mine, another = (ismrmrd.Image.from_array(np.full((1, 4, 4), value, np.uint16)) for value in (1, 2))
    answer = soak.Answer([another], [], closed=True)
    assert soak.fault("good", answer, soak.digest([another]), soak.digest([mine])) == "wrong digest"
    assert soak.fault("good", answer, soak.digest([another]), soak.digest([another])) == ""


def test_maps_are_a_fault_where_a_refusal_is_due(soak):
    answer = soak.Answer([], ["WARNING of something"], closed=True)
    assert soak.fault("other coils in the middle", answer, "", "") == "no sentence of refusal"


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"rss_mib": 106.0}, "RSS grew from 100 to 106 MiB"),
        ({"descriptors": 14}, "descriptors: 13 at the beginning, 14 at the end"),
        ({"processes": 3}, "processes: 2 at the beginning, 3 at the end"),
        ({"threads": 100}, "100 threads of the server"),
    ],
)
def test_what_the_node_holds_more_is_a_fault(soak, last, said):
    first = {"rss_mib": 100.0, "server_mib": 50.0, "descriptors": 13, "processes": 2, "threads": 3, "scan_threads": 2}
    assert soak.growth(soak.Holdings(**first), soak.Holdings(**first | {"rss_mib": 104.0}), memory=True) == []
    (sentence,) = soak.growth(soak.Holdings(**first), soak.Holdings(**first | last), memory=True)
    assert sentence.startswith(said)
