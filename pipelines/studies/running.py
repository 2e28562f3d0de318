"""Runs the steps of a study, and keeps the numbers of each, so that an interrupted study can be continued."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from spokestream import __version__
from spokestream.errors import FileError, InputError
from spokestream.pipelines.studies.study import SCALES, Results, Study
from spokestream.whole_files import whole_file

__all__ = ["run_study", "stored_results"]

Progress = Callable[[int, int, str], object]
"""Called with the number of steps that are done, the number of all steps, and the name of the next one."""


def run_study(
    study: Study, scale: str, folder: Path, seed: int = 0, threads: int = 2, progress: Progress | None = None
) -> dict[str, Any]:
    """Run the steps that the folder has no numbers of, and write `study.json` when all are done.

    Args:
        study: the study.
        scale: one of `SCALES`.
        folder: where the numbers of the steps, data sets and networks are kept.
        seed: seed of all random numbers.
        threads: CPU threads.
        progress: see `Progress`.

    Returns:
        What `study.json` holds: the identity of the run, its seconds, and the numbers of every step.

    Raises InputError for an unknown scale, and FileError for a folder with another run.

    """
    if scale not in SCALES:
        raise InputError(f"There is no scale '{scale[:40]}'; there are {', '.join(SCALES)}.")
    sizes = study.scales[scale]
    identity = {"study": study.name, "scale": scale, "seed": seed, "sizes": json.loads(json.dumps(asdict(sizes)))}
    (folder / "steps").mkdir(parents=True, exist_ok=True)
    _claim(folder / "run.json", identity)
    torch.set_num_threads(threads)
    steps = study.steps(sizes, seed, threads)
    done: dict[str, dict[str, Any]] = {}
    for number, step in enumerate(steps):
        if progress:
            progress(number, len(steps), step.name)
        path = folder / "steps" / f"{step.name}.json"
        if not path.exists():
            begin = perf_counter()
            numbers = dict(step.run(folder))
            _write(path, {"seconds": round(perf_counter() - begin, 1), "numbers": numbers})
        done[step.name] = json.loads(path.read_text("utf-8"))
    if progress:
        progress(len(steps), len(steps), "")
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
