"""How many workers are started, and how they get tasks and give results."""

import logging
from time import sleep

import pytest
from distributed import Client, KilledWorker, LocalCluster

from spokestream.dask_workers import (
    PROCESS_BYTES,
    Workers,
    dask_client,
    in_order,
    plan_workers,
    remote_workers,
    result_of,
    within_a_task,
)
from spokestream.errors import InputError, SpokestreamError

GiB = 1 << 30


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Workers(16, 1)),
        ({"tasks": 3}, Workers(3, 5)),
        ({"wanted": 4}, Workers(4, 4)),
        ({"threads": 4}, Workers(4, 4)),
        ({"wanted": 2, "threads": 3}, Workers(2, 3)),
        ({"memory": 10 * GiB}, Workers(4, 4)),  # 80 % of it hold four times 2 GiB
        ({"memory": GiB}, Workers(1, 16)),  # one is started in any case
        ({"wanted": 20}, Workers(20, 1)),
    ],
)
def test_workers_share_cores_and_fit_into_the_memory(given, expected, caplog):
    machine = {"tasks": 1000, "plan": 2 * GiB - PROCESS_BYTES, "cores": 16, "memory": 100 * GiB}
    assert plan_workers(**{"wanted": None, "threads": None, **machine, **given}) == expected
    assert not caplog.records


def test_it_is_said_when_fewer_workers_are_started_than_wanted(caplog):
    assert plan_workers(9, 2 * GiB - PROCESS_BYTES, 16, 5 * GiB, 3, None) == Workers(2, 8)
    assert caplog.messages == [
        "Only 2 of 3 workers fit into the memory of 5.0 GiB: the largest scan needs 2.0 GiB in each of them."
    ]


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


@pytest.fixture(scope="module")
def client():
    """One worker, which does one task at a time."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def last_first(seconds):
    sleep(seconds)
    return seconds


def test_results_come_in_the_order_of_the_tasks():
    with (
        LocalCluster(n_workers=1, threads_per_worker=3, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert list(in_order(client, last_first, [0.2, 0.1, 0.0])) == [0.2, 0.1, 0.0]


def refuse(task):
    raise InputError(f"There is no {task}.")


def test_what_a_task_raises_is_raised(client):
    with pytest.raises(InputError, match=r"^There is no scan\.$"):
        list(in_order(client, refuse, ["scan"]))


def with_tasks_of_its_own(numbers):
    with dask_client(None, 2) as client:
        return within_a_task(), list(in_order(client, float, numbers))


def test_a_task_gives_tasks_to_the_workers_of_its_own_scheduler(client):
    assert not within_a_task()
    assert client.submit(with_tasks_of_its_own, [1, 2, 3]).result() == (True, [1.0, 2.0, 3.0])


class Killed:
    def result(self):
        raise KilledWorker("slice", None, 3)


def test_a_task_whose_workers_died_is_one_sentence():
    with pytest.raises(SpokestreamError, match="Every worker that had a certain task died"):
        result_of(Killed())
