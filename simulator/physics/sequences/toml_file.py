"""The TOML format of sequences: scalars, and trains as runs of spokes (`docs/sequences.md`)."""

import tomllib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError
from spokestream.simulator.physics.sequences.pulse_sequence import SCALARS, TRAINS
from spokestream.simulator.physics.sequences.trains import train_values

__all__ = ["quadratic_phase_deg", "sequence_fields"]

Trains = NDArray[np.float64]

OPTIONAL = ("rf_phase_deg",)
"""The trains that can be left out. All others are written once for all spokes, or in every run."""
MAX_SPOKES = 100_000
"""Limit that protects the memory from typing errors."""


def sequence_fields(data: bytes) -> dict[str, Any]:
    """The fields of a `PulseSequence`, except its name, from the bytes of a TOML file.

    Raises KeyError for a key that is missing, and FileError, in words, for all other errors.
    """
    try:
        table = tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise FileError("it is no text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise FileError(str(error)) from None
    runs = table.pop("train")
    if not isinstance(runs, list) or not runs or not all(isinstance(run, dict) for run in runs):
        raise FileError("the train is written as [[train]] runs")
    fields: dict[str, Any] = _trains(runs, {key: table.pop(key) for key in TRAINS if key in table})
    if "rf_spoiling_increment_deg" in table:
        if "rf_phase_deg" in fields:
            raise FileError("rf_phase_deg and rf_spoiling_increment_deg exclude each other")
        key = "rf_spoiling_increment_deg"
        (increment_deg,) = _named(key, table.pop(key), 1)
        fields["rf_phase_deg"] = quadratic_phase_deg(len(fields["te_ms"]), increment_deg)
    for key, value in table.items():
        fields[key] = _scalar(key, value)
    return {"ti_ms": table["ti_ms"], "recovery_ms": table["recovery_ms"], **fields}


def quadratic_phase_deg(spokes: int, increment_deg: float) -> Trains:
    """The phase (spokes,) for RF spoiling, 0..360; its steps increase by `increment_deg` from pulse to pulse."""
    index = np.arange(spokes)
    return np.asarray(increment_deg * (index * (index + 1) // 2) % 360)


def _trains(runs: list[dict[str, Any]], common: dict[str, Any]) -> dict[str, Trains]:
    """All trains, (spokes,) each, either joined from the runs or written once for all spokes."""
    spokes = [run["spokes"] for run in runs]
    if not all(type(n) is int and n > 0 for n in spokes) or sum(spokes) > MAX_SPOKES:
        raise FileError(f"the spokes of a run are a positive whole number, and {MAX_SPOKES} at most in all")
    for key in (key for run in runs for key in run):
        if key in common:
            raise FileError(f"{key} is given both for all spokes and in a run")
        if key not in (*TRAINS, "spokes"):
            raise FileError(f"a run has no key '{key:.40}'")
    trains = {key: _named(key, written, sum(spokes)) for key, written in common.items()}
    for key in TRAINS:
        if key not in common and (key not in OPTIONAL or any(key in run for run in runs)):
            trains[key] = np.concatenate([_named(key, run[key], run["spokes"]) for run in runs])
    return trains


def _named(key: str, written: Any, spokes: int) -> Trains:
    try:
        return train_values(written, spokes)
    except FileError as error:
        raise FileError(f"{key}: {error}") from None


def _scalar(key: str, value: Any) -> Any:
    if key not in SCALARS:
        raise FileError(f"there is no key '{key:.40}'")
    kind = SCALARS[key]
    if kind is float and type(value) is int:
        (number,) = _named(key, value, 1)
        return float(number)
    if type(value) is not kind:
        raise FileError(f"{key} must be {_IN_WORDS[kind]}, not {value!r:.40}")
    return value


_IN_WORDS = {float: "a number", int: "a whole number", str: "a word", bool: "true or false"}
