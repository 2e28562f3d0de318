"""Work on many processes by Dask: workers of this machine, or those of a scheduler that the operator runs."""

import logging
import math
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from spokestream.errors import InputError, SpokestreamError

__all__ = [
    "LOCAL", "PROCESS_BYTES", "Workers", "cores_and_memory", "dask_client", "in_order", "is_remote", "load_dask",
    "plan_workers", "planned_client", "remote_workers", "result_of", "secede", "within_a_task",
]  # fmt: skip

LOG = logging.getLogger("spokestream")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""The variables of a worker's environment. Dask's own settings have MALLOC_TRIM_THRESHOLD_, too, but to return memory
after every product takes as long as the products."""
QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical"}
"""What a worker logs when it is stopped helps nobody; the errors of its tasks reach the client."""
REPLACED_WITHIN = "10 minutes"
"""Time within which a process that replaces a dead one must be ready; Dask gives it up after 15 seconds, but on a busy
machine the imports alone take as long."""
LOCAL = "local"
"""The name that asks for workers of this machine."""
PROCESS_BYTES = 450 << 20
"""Memory of a worker beside the plan of its scan: libraries, Dask, and the drawing of pictures. Measured were 260 to
370 MiB after two scans of 48 and 192 pixels, by dictionary matching and by networks."""
MEMORY_FRACTION = 0.8
"""Fraction of the memory that the workers may take; the rest is left for the scheduler and for the cache of files."""

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """How many processes work at once, and with how many threads each."""

    number: int
    threads: int


def load_dask(work: str) -> Any:
    """The module `distributed`. Raises InputError if it is not installed; `work` is what is made with it."""
    try:
        return import_module("distributed")
    except ImportError:
        raise InputError(f"{work} with Dask; install spokestream[train].") from None


def cores_and_memory() -> tuple[int, int]:
    """The cores, and the bytes of memory, of this machine or of the cgroup that it gives us."""
    system = import_module("dask.system"), import_module("distributed.system")
    return int(system[0].CPU_COUNT), int(system[1].MEMORY_LIMIT)


def is_remote(scheduler: str | None) -> bool:
    """Whether the workers are those of a scheduler that somebody else runs."""
    return scheduler not in (None, LOCAL)


@contextmanager
def dask_client(scheduler: str | None, n_workers: int, threads: int = 1) -> Iterator[Any]:
    """A client of Dask, which is closed at the end together with the local workers.

    A task of Dask cannot start workers. In a task, the client is one of its own scheduler, and another task can begin
    on the same worker while this one waits.

    Args:
        scheduler: address of a running scheduler; None, or `local`, starts workers on this machine.
        n_workers: number of local workers. Each is a process that does one task at a time, so that the tasks that a
            dead worker is blamed for are those that it was doing.
        threads: number of threads of OpenMP and BLAS in each local worker.

    Raises InputError if no scheduler answers at the address.

    """
    distributed: Any = import_module("distributed")
    dask: Any = import_module("dask")
    if within_a_task():
        with distributed.worker_client() as client:
            yield client
        return
    settings = {
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(THREAD_VARIABLES, threads) | QUIET,
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.deploy.lost-worker-timeout": REPLACED_WITHIN,
    }
    with dask.config.set(settings):
        local = (
            nullcontext(scheduler)
            if is_remote(scheduler)
            else distributed.LocalCluster(
                n_workers=n_workers, threads_per_worker=1, memory_limit=None, dashboard_address=":0"
            )
        )
        with local as cluster, _connected(distributed, cluster) as client:
            yield client


@contextmanager
def planned_client(
    scheduler: str | None, tasks: int, plan: int, wanted: int | None, threads: int | None, what: str = "scan"
) -> Iterator[tuple[Any, Workers]]:
    """A client of Dask whose local workers fit into the cores and the memory of this machine, and these workers.

    Args:
        scheduler: see `dask_client`.
        tasks: the number of tasks.
        plan: memory, in bytes, of the largest task.
        wanted: see `plan_workers`.
        threads: see `plan_workers`.
        what: what a task works on, for the warnings.

    Raises InputError if no scheduler answers at the address.

    """
    workers = plan_workers(tasks, plan, *cores_and_memory(), wanted, threads, what)
    with dask_client(scheduler, workers.number, workers.threads) as client:
        if is_remote(scheduler):
            workers = remote_workers(client.scheduler_info(n_workers=-1)["workers"].values(), plan, what)
        yield client, workers


def plan_workers(
    tasks: int, plan: int, cores: int, memory: int, wanted: int | None, threads: int | None, what: str = "scan"
) -> Workers:
    """The workers for a number of tasks.

    Args:
        tasks: the number of tasks.
        plan: memory, in bytes, of the largest task.
        cores: cores of the machine.
        memory: memory of the machine, in bytes.
        wanted: the number of workers that the operator asks for. By default there is one for each core; a warning says
            if fewer fit into the memory.
        threads: threads of each worker that the operator asks for; by default, all workers together have one for each
            core.
        what: what a task works on, for the warning.

    """
    fitting = max(1, int(MEMORY_FRACTION * memory) // (PROCESS_BYTES + plan))
    number = max(1, min(tasks, wanted or max(1, cores // (threads or 1)), fitting))
    if number < min(tasks, wanted or 0):
        LOG.warning(
            "Only %d of %d workers fit into the memory of %.1f GiB: the largest %s needs %.1f GiB in each of them.",
            number, wanted, memory / 2**30, what, (PROCESS_BYTES + plan) / 2**30,
        )  # fmt: skip
    return Workers(number, threads or max(1, cores // number))


def remote_workers(workers: Collection[Mapping[str, Any]], plan: int, what: str = "scan") -> Workers:
    """The workers of a scheduler, which do one task each with the threads that they were started with.

    A warning says if there is none yet, or if the memory of one is too small.

    Args:
        workers: what the scheduler says of each: `nthreads` and `memory_limit`, in bytes; 0 is unlimited.
        plan: memory, in bytes, of the largest task.
        what: what a task works on, for the warnings.

    """
    if not workers:
        LOG.warning("The scheduler has no workers; the %ss wait for the first one.", what)
    needed, least = PROCESS_BYTES + plan, min((w["memory_limit"] or math.inf for w in workers), default=math.inf)
    if least < needed:
        LOG.warning(
            "A worker may take %.1f GiB of memory, but the largest %s needs %.1f GiB; start fewer workers.",
            least / 2**30, what, needed / 2**30,
        )  # fmt: skip
    return Workers(len(workers), min((w["nthreads"] for w in workers), default=1))


def in_order(client: Any, run: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """The results of all tasks, in the order of the tasks; each is given as soon as it and those before it are there.

    Raises what a task raises, and SpokestreamError if every worker that had a task died.
    """
    distributed: Any = import_module("distributed")
    futures = client.map(run, list(tasks), pure=False)
    keys = [future.key for future in futures]
    arrived: dict[str, Result] = {}
    completed = distributed.as_completed(futures)
    del futures  # what a worker holds for a future would be made again if the worker dies
    for key in keys:
        while key not in arrived:
            future = next(completed)
            arrived[future.key] = result_of(future)
            future.release()
        yield arrived.pop(key)


def result_of(future: Any) -> Any:
    """The result of a finished task. Raises what the task raised, and SpokestreamError if its workers died."""
    try:
        return future.result()
    except Exception as error:
        if type(error).__name__ == "KilledWorker":
            raise SpokestreamError(
                "Every worker that had a certain task died, perhaps for lack of memory; take fewer workers."
            ) from None
        raise


def within_a_task() -> bool:
    """Whether this code runs in a task of Dask, so that its own tasks go to the workers of the same scheduler."""
    distributed = sys.modules.get("distributed")  # a worker has imported it
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def secede() -> None:
    """Let another task begin on the worker of this task, which is about to wait."""
    import_module("distributed").secede()


def _connected(distributed: Any, cluster: Any) -> Any:
    try:
        return distributed.Client(cluster)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at '{cluster}'; give the address that it prints, such as tcp://host:8786."
        ) from error
