import logging

import pytest

from spokestream.pipelines.archive.workers import PROCESS_BYTES, Workers, largest_plan, plan_workers, remote_workers
from spokestream.pipelines.selection import select
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

GiB = 1 << 30


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Workers(16, 1)),
        ({"scans": 3}, Workers(3, 5)),
        ({"wanted": 4}, Workers(4, 4)),
        ({"threads": 4}, Workers(4, 4)),
        ({"wanted": 2, "threads": 3}, Workers(2, 3)),
        ({"memory": 10 * GiB}, Workers(4, 4)),  # 80 % of it hold four times 2 GiB
        ({"memory": GiB}, Workers(1, 16)),  # one is started in any case
        ({"wanted": 20}, Workers(20, 1)),
    ],
)
def test_workers_share_cores_and_fit_into_the_memory(given, expected, caplog):
    machine = {"scans": 1000, "plan": 2 * GiB - PROCESS_BYTES, "cores": 16, "memory": 100 * GiB}
    assert plan_workers(**{"wanted": None, "threads": None, **machine, **given}) == expected
    assert not caplog.records


def test_it_is_said_when_fewer_workers_are_started_than_wanted(caplog):
    assert plan_workers(9, 2 * GiB - PROCESS_BYTES, 16, 5 * GiB, 3, None) == Workers(2, 8)
    assert caplog.messages == [
        "Only 2 of 3 workers fit into the memory of 5.0 GiB: the largest scan needs 2.0 GiB in each of them."
    ]


def test_the_largest_scan_is_planned_and_a_broken_one_needs_nothing(thigh, tmp_path):
    simulate_scan(tmp_path / "large.h5", SimulationSettings(matrix=64, coils=6))
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    auto = select("auto")
    alone = largest_plan([thigh], auto), largest_plan([tmp_path / "large.h5"], auto)
    assert 0 < alone[0] < alone[1]
    assert largest_plan([thigh, tmp_path / "large.h5", tmp_path / "broken.h5"], auto) == alone[1]
    assert largest_plan([tmp_path / "broken.h5"], auto) == 0


def test_workers_of_a_scheduler_use_their_threads_and_their_memory_is_checked(caplog):
    large, small = ({"nthreads": n, "memory_limit": limit} for n, limit in ((4, 8 * GiB), (2, GiB)))
    assert remote_workers([large, large], GiB) == Workers(2, 4)
    assert remote_workers([large, {"nthreads": 3, "memory_limit": 0}], GiB) == Workers(2, 3)
    assert not caplog.records
    assert remote_workers([large, small], 3 * GiB - PROCESS_BYTES) == Workers(2, 2)
    assert remote_workers([], GiB) == Workers(0, 1)
    assert caplog.messages == [
        "A worker may take 1.0 GiB of memory, but the largest scan needs 3.0 GiB; start fewer workers.",
        "The scheduler has no workers; the scans wait for the first one.",
    ]


@pytest.fixture(autouse=True)
def warnings_only(caplog):
    caplog.set_level(logging.WARNING, "spokestream")
