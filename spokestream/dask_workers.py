"""Work on many processes by Dask: workers of this machine, or those of a scheduler that the operator runs."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

from spokestream.errors import InputError

__all__ = ["cores_and_memory", "dask_client", "is_remote", "load_dask"]

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

    Args:
        scheduler: address of a running scheduler; None, or `local`, starts workers on this machine.
        n_workers: number of local workers. Each is a process that does one task at a time, so that the tasks that a
            dead worker is blamed for are those that it was doing.
        threads: number of threads of OpenMP and BLAS in each local worker.

    Raises InputError if no scheduler answers at the address.

    """
    distributed: Any = import_module("distributed")
    dask: Any = import_module("dask")
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


def _connected(distributed: Any, cluster: Any) -> Any:
    try:
        return distributed.Client(cluster)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at '{cluster}'; give the address that it prints, such as tcp://host:8786."
        ) from error
