"""The contract of a network as JSON: the file `contract.json` inside the archive."""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError
from spokestream.gadgets.imaging.image_kinds import ADJOINT
from spokestream.gadgets.network.contract import Contract, Output
from spokestream.gadgets.scan.header_sequence import LONGEST_TRAIN
from spokestream.simulator.physics.quantities import QUANTITIES, Where
from spokestream.simulator.physics.sequences.pulse_sequence import SCALARS, TRAINS, PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["contract_json", "parse_contract"]

LINEAR, LOGARITHMIC, ITERATIVE = FORMATS = 1, 2, 3
"""Formats. The second has logarithmic outputs, and the third is of networks for iterative images. Software that knows
only earlier formats would take outputs for linear, or give such a network images of the adjoint; it refuses them."""
MOST_IMAGES = 2500
"""Largest number of images of a basis, because the memory grows with it."""


def contract_json(contract: Contract) -> str:
    """The contract as JSON; `parse_contract` gives exactly the same contract again."""
    basis, sequence = contract.basis, contract.sequence
    return json.dumps(
        {
            "format": _format(contract),
            "name": contract.name,
            "description": contract.description,
            "input": {
                "basis": {
                    "weights": basis.weights.tolist(),
                    "te_ms": basis.te_ms.tolist(),
                    "spokes_per_frame": basis.spokes_per_frame,
                    "noise": basis.noise.tolist(),
                },
                "normalisation": contract.normalisation,
                "channels": contract.channels,
                "border": contract.border,
                "step": contract.step,
                "tile": contract.tile,
                "inversion_efficiency": contract.efficiency and list(contract.efficiency),
                "pixel_mm": contract.pixel_mm and list(contract.pixel_mm),
                "demodulation_hz": contract.demodulation_hz,
                **({"images": contract.images} if contract.images != ADJOINT else {}),
            },
            "field_t": contract.field_t,
            "tissue_model": contract.tissue_model,
            "outputs": [_output_to_json(output) for output in contract.outputs],
            "sequence": {
                "name": sequence.name,
                **{name: getattr(sequence, name) for name in SCALARS},
                **{name: getattr(sequence, name).tolist() for name in TRAINS},
            },
            "training": contract.training,
            "metrics": contract.metrics,
            "versions": contract.versions,
        },
        allow_nan=False,
    )


def parse_contract(text: str | bytes) -> Contract:
    """Read a text of `contract_json`. Raises FileError, with one sentence, for any other text."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise FileError("its contract is not readable JSON") from None
    table = _typed(table, dict, "contract")
    if table.get("format") not in FORMATS:
        raise FileError(
            f"its contract has format {table.get('format')!r:.20}, not one of {', '.join(map(str, FORMATS))}"
        )
    given = _take(table, "input", dict)
    basis = _take(given, "basis", dict)
    sequence = _take(table, "sequence", dict)
    fields: dict[str, Any] = {name: _take(sequence, name, kind) for name, kind in SCALARS.items()}
    fields |= {name: _numbers(sequence, name, 1, LONGEST_TRAIN) for name in TRAINS}
    weights = _numbers(basis, "weights", 2, LONGEST_TRAIN * MOST_IMAGES)
    return Contract(
        name=_take(table, "name", str),
        description=_take(table, "description", str),
        sequence=PulseSequence(_take(sequence, "name", str), **fields),
        basis=TemporalBasis(
            weights.astype(np.float32),
            _numbers(basis, "te_ms", 1, MOST_IMAGES),
            _take(basis, "spokes_per_frame", int),
            _numbers(basis, "noise", 1, MOST_IMAGES).astype(np.float32),
        ),
        normalisation=_take(given, "normalisation", str),
        **{name: _take(given, name, int) for name in ("channels", "border", "step", "tile")},
        efficiency=_range(given, "inversion_efficiency"),
        # the first archives have no such key
        pixel_mm=_range(given, "pixel_mm") if "pixel_mm" in given else None,
        # networks for images of the adjoint have no such key
        images=_take(given, "images", str) if "images" in given else ADJOINT,
        demodulation_hz=_take(given, "demodulation_hz", float),
        field_t=_take(table, "field_t", float),
        # the first archives have no such key, because there was only the model of water and fat
        **({"tissue_model": _take(table, "tissue_model", str)} if "tissue_model" in table else {}),
        outputs=tuple(_output(entry) for entry in _take(table, "outputs", list)[: len(QUANTITIES) + 1]),
        **{name: _take(table, name, dict) for name in ("training", "metrics", "versions")},
    )


def _format(contract: Contract) -> int:
    if contract.images != ADJOINT:
        return ITERATIVE
    return LOGARITHMIC if any(output.logarithmic for output in contract.outputs) else LINEAR


def _output(entry: Any) -> Output:
    entry = _typed(entry, dict, "output")
    output = Output(
        _take(entry, "map", str), _take(entry, "low", float), _take(entry, "high", float), _take(entry, "std", bool),
        _where(entry.get("where")), _take(entry, "logarithmic", bool) if "logarithmic" in entry else False,
    )  # fmt: skip
    if output.map in QUANTITIES and entry.get("unit") != output.unit:
        raise FileError(f"the unit of '{output.map}' is {output.unit}, not {entry.get('unit')!r:.20}")
    return output


def _where(entry: Any) -> Where | None:
    if entry is None:
        return None
    bounds = {name: _take(entry, name, float) for name in ("above", "below") if name in _typed(entry, dict, "where")}
    return Where(_take(entry, "map", str), **bounds)


def _output_to_json(output: Output) -> dict[str, Any]:
    where = None
    if output.where:
        bounds = {"above": output.where.above, "below": output.where.below}
        where = {"map": output.where.quantity} | {name: v for name, v in bounds.items() if math.isfinite(v)}
    return {
        "map": output.map, "unit": output.unit, "low": output.low, "high": output.high, "std": output.std,
        "where": where, **({"logarithmic": True} if output.logarithmic else {}),
    }  # fmt: skip


def _range(table: dict[str, Any], key: str) -> tuple[float, float] | None:
    if key in table and table[key] is None:
        return None
    bounds = _numbers(table, key, 1, 2).tolist()
    if len(bounds) != 2:
        raise FileError(f"its contract's '{key}' is not a range from low to high")
    return bounds[0], bounds[1]


def _take(table: dict[str, Any], key: str, kind: type[Any]) -> Any:
    if key not in table:
        raise FileError(f"its contract lacks '{key}'")
    return _typed(table[key], kind, key)


def _typed(value: Any, kind: type[Any], what: str) -> Any:
    if kind is float and type(value) is int and abs(value) < 1e15:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise FileError(f"its contract's '{what}' is not {_IN_WORDS[kind]}")
    return value


_IN_WORDS: dict[type, str] = {
    dict: "a table",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
}


def _numbers(table: dict[str, Any], key: str, axes: int, most: int) -> NDArray[np.float64]:
    try:
        values = np.array(_take(table, key, list), np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.zeros(0)
    if values.ndim != axes or not 0 < values.size <= most or not np.isfinite(values).all():
        raise FileError(f"its contract's '{key}' is not {'a table' if axes == 2 else 'a list'} of finite numbers")
    return values
