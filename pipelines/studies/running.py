"""Runs the steps of a study, and keeps the numbers of each, so that an interrupted study can be continued."""

import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from spokestream import __version__
from spokestream.dask_workers import load_dask, planned_client, result_of, secede, within_a_task
from spokestream.errors import FileError, InputError
from spokestream.pipelines.studies.study import SCALES, Results, Step, Study
from spokestream.whole_files import whole_file

__all__ = ["run_study", "stored_results"]

_alone = Lock()
"""A process runs one step at a time, because the random numbers of torch are those of the process.

A step that waits for another one of its process leaves its thread to the subjects of data sets, for which that one may
wait.
"""

Progress = Callable[[int, int, str], object]
"""Called with the number of steps that are done, the number of all steps, and the name of the next one."""


def run_study(
    study: Study,
    scale: str,
    folder: Path,
    seed: int = 0,
    threads: int = 2,
    progress: Progress | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Run the steps that the folder has no numbers of, and write `study.json` when all are done.

    With a scheduler, a task is one step; steps that do not need each other run at once, and share the machine while
    they measure times. The other numbers are those of a run in one process with as many threads.

    Args:
        study: the study.
        scale: one of `SCALES`.
        folder: where the numbers of the steps, data sets and networks are kept.
        seed: seed of all random numbers.
        threads: CPU threads, of each worker if there are workers.
        progress: see `Progress`.
        scheduler: address of a Dask scheduler whose workers see the folder under the same name, or `local` for
            processes of this machine. None runs all steps in this process.
        workers: number of processes of this machine; by default as many as it has cores for.

    Returns:
        What `study.json` holds: the identity of the run, its seconds, and the numbers of every step.

    Raises InputError for an unknown scale, and if Dask is missing or no scheduler answers; FileError for a folder with
    another run.

    """
    if scale not in SCALES:
        raise InputError(f"There is no scale '{scale[:40]}'; there are {', '.join(SCALES)}.")
    sizes = study.scales[scale]
    identity = {"study": study.name, "scale": scale, "seed": seed, "sizes": json.loads(json.dumps(asdict(sizes)))}
    (folder / "steps").mkdir(parents=True, exist_ok=True)
    _claim(folder / "run.json", identity)
    steps = study.steps(sizes, seed, threads)
    paths = {step.name: folder / "steps" / f"{step.name}.json" for step in steps}
    left = [step for step in steps if not paths[step.name].exists()]

    def report() -> None:
        if progress:
            progress(len(steps) - len(left), len(steps), left[0].name if left else "")

    report()
    spread = scheduler is not None and left
    for step, numbers in (
        _by_workers(left, folder, threads, scheduler, workers) if spread else _in_this_process(left, folder, threads)
    ):
        _write(paths[step.name], numbers)
        left = [other for other in left if other is not step]
        report()
    done = {name: json.loads(path.read_text("utf-8")) for name, path in paths.items()}
    whole = identity | {
        "software": __version__,
        "torch": torch.__version__,
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "seconds": round(sum(step["seconds"] for step in done.values()), 1),
        "results": {name: step["numbers"] for name, step in done.items()},
    }
    _write(folder / "study.json", whole)
    return whole


def _in_this_process(steps: Sequence[Step], folder: Path, threads: int) -> Iterator[tuple[Step, dict[str, Any]]]:
    """Every step and its numbers, one after the other."""
    for step in steps:
        yield step, _run_step(step, folder, threads)


def _by_workers(
    steps: Sequence[Step], folder: Path, threads: int, scheduler: str | None, wanted: int | None
) -> Iterator[tuple[Step, dict[str, Any]]]:
    """Every step and its numbers when it is finished; a step begins when those are finished that it needs."""
    distributed = load_dask("The steps of a study run on workers")
    waiting, finished = list(steps), set[str]()
    earlier = [step.name for step in steps]
    with planned_client(scheduler, len(steps), 0, wanted, threads, "step") as (client, _):
        running, completed = {}, distributed.as_completed()

        def begin() -> None:
            for step in list(waiting):
                needed = earlier[: earlier.index(step.name)] if step.after is None else step.after
                if finished.issuperset(name for name in needed if name in earlier):
                    waiting.remove(step)
                    future = client.submit(_run_step, step, folder.absolute(), threads, pure=False)
                    running[future.key] = step
                    completed.add(future)

        begin()
        for future in completed:
            step = running.pop(future.key)
            yield step, result_of(future)
            future.release()
            finished.add(step.name)
            begin()


def _run_step(step: Step, folder: Path, threads: int) -> dict[str, Any]:
    """The numbers of a step and its seconds. The last bits of a training depend on the number of threads."""
    if not _alone.acquire(blocking=False):
        if within_a_task():
            secede()
        _alone.acquire()
    try:
        torch.set_num_threads(threads)
        with threadpool_limits(threads, "blas"):
            begin = perf_counter()
            numbers = dict(step.run(folder))
            return {"seconds": round(perf_counter() - begin, 1), "numbers": numbers}
    finally:
        _alone.release()


def stored_results(path: Path) -> tuple[dict[str, Any], Results]:
    """The identity of a run and the numbers of its steps, from its `study.json`.

    Raises FileError when the file cannot be read.
    """
    try:
        whole = json.loads(path.read_text("utf-8"))
        return whole, whole["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path} holds no results of a study ({error}).") from None


def _claim(path: Path, identity: dict[str, Any]) -> None:
    """Make sure that the folder holds this run and no other."""
    if not path.exists():
        _write(path, identity)
    elif json.loads(path.read_text("utf-8")) != identity:
        raise FileError(f"{path.parent} holds another run; continue it with its settings, or choose another folder.")


def _write(path: Path, content: dict[str, Any]) -> None:
    with whole_file(path) as draft:
        draft.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")
