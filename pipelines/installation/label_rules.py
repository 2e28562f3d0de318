"""The rules of OpenRecon's label: those of its schema 1.1.0, and what the schema cannot say."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

__all__ = ["MOST_PARAMETERS", "label_faults"]

MOST_PARAMETERS = 14
LARGEST_WHOLE = 2**31 - 1
STEP = 0.1
"""Numbers with decimals are whole multiples of it."""
ROUNDING = 1e-6
SEMANTIC_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
IDENTIFIER = re.compile(r"[A-Za-z0-9]+")
Rule: TypeAlias = Callable[[Any], Iterator[str]]
"""Gives what is wrong with a value: the rest of a path in the label, and a sentence."""


def label_faults(label: Any) -> list[str]:
    """What is wrong with a label, one sentence a fault; an empty list if OpenRecon can take it."""
    faults = [f"The label{fault}." for fault in LABEL(label)]
    return faults or [f"The label's parameters {fault}." for fault in _parameter_faults(label["parameters"])]


def _parameter_faults(parameters: list[dict[str, Any]]) -> Iterator[str]:
    """What the schema cannot say of parameters whose form is right."""
    ids = [one["id"] for one in parameters]
    if len(ids) > MOST_PARAMETERS:
        yield f"are {len(ids)}, more than {MOST_PARAMETERS}"
    if len(set(ids)) < len(ids):
        yield "have an id twice"
    if not any(one["id"] == "config" and one["type"] == "choice" for one in parameters):
        yield "have no choice 'config'"
    for one in parameters:
        low, high = one.get("minimum", one.get("default")), one.get("maximum", one.get("default"))
        if one["type"] in ("int", "double") and not low <= one["default"] <= high:
            yield f"have the default {one['default']:g} of {one['id']}, which is not from {low:g} to {high:g}"
        if one["type"] == "choice" and one["default"] not in [value["id"] for value in one["values"]]:
            yield f"have the default '{one['default']}' of {one['id']}, which is no choice"


def _text(value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield " must be a text"


def _truth(value: Any) -> Iterator[str]:
    if not isinstance(value, bool):
        yield " must be true or false"


def _matching(pattern: re.Pattern[str], what: str) -> Rule:
    def rule(value: Any) -> Iterator[str]:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            yield f" must be {what}"

    return rule


def _one_of(*choices: str) -> Rule:
    def rule(value: Any) -> Iterator[str]:
        if value not in choices:
            yield f" must be {' or '.join(choices)}"

    return rule


def _whole(low: int, high: int = LARGEST_WHOLE) -> Rule:
    def rule(value: Any) -> Iterator[str]:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            yield f" must be a whole number from {low} to {high}"

    return rule


def _number(value: Any) -> Iterator[str]:
    steps = value / STEP if isinstance(value, int | float) and not isinstance(value, bool) else STEP
    if abs(steps - round(steps)) > ROUNDING:
        yield f" must be a number in steps of {STEP}"


def _list_of(rule: Rule, least: int = 0) -> Rule:
    def rule_of_list(value: Any) -> Iterator[str]:
        if not isinstance(value, list) or len(value) < least:
            yield f" must be a list of {least} or more"
            return
        for index, one in enumerate(value):
            yield from (f"[{index}]{fault}" for fault in rule(one))

    return rule_of_list


def _fields(required: Mapping[str, Rule], optional: Mapping[str, Rule] | None = None, others: bool = False) -> Rule:
    """The rule of an object with these fields, and with no others unless they are allowed."""
    known = {**required, **(optional or {})}

    def rule(value: Any) -> Iterator[str]:
        if not isinstance(value, dict):
            yield " must be an object"
            return
        yield from (f".{name} is missing" for name in required if name not in value)
        for name, one in value.items():
            if name in known:
                yield from (f".{name}{fault}" for fault in known[name](one))
            elif not others:
                yield f".{name} is unknown"

    return rule


def _parameter(value: Any) -> Iterator[str]:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in PARAMETERS:
        yield f".type must be {' or '.join(PARAMETERS)}"
        return
    yield from PARAMETERS[kind](value)


WORDS = _fields({"en": _text}, others=True)
"""A text in one language or more, English among them."""
UNIT = _fields({"en": _matching(re.compile(r".{1,3}"), "1 to 3 characters")}, others=True)
NAMED = {"type": _text, "id": _matching(IDENTIFIER, "letters and digits"), "label": WORDS}
LIMITS = ("minimum", "maximum", "default")
INT32 = _whole(-LARGEST_WHOLE - 1)
PARAMETERS = {
    "int": _fields({**NAMED, **dict.fromkeys(LIMITS, INT32)}, {"information": WORDS, "unit": UNIT}),
    "double": _fields({**NAMED, **dict.fromkeys(LIMITS, _number)}, {"information": WORDS, "unit": UNIT}),
    "string": _fields(NAMED, {"information": WORDS, "default": _text, "isLargeText": _truth}),
    "boolean": _fields({**NAMED, "default": _truth}, {"information": WORDS}),
    "choice": _fields(
        {**NAMED, "default": _text, "values": _list_of(_fields({"id": _text, "name": WORDS}), 1)},
        {"information": WORDS},
    ),
}
"""The rules of a parameter by its type."""

REGULATORY = (
    "device_trade_name", "production_identifier", "manufacturer_address", "made_in", "manufacture_date",
    "material_number", "gtin", "udi", "safety_advices", "special_operating_instructions",
    "additional_relevant_information",
)  # fmt: skip
LABEL = _fields(
    {
        "general": _fields(
            {
                "name": WORDS,
                "version": _matching(SEMANTIC_VERSION, "a version such as 1.2.3"),
                "vendor": _text,
                "information": WORDS,
                "id": _text,
                "regulatory_information": _fields(dict.fromkeys(REGULATORY, _text)),
            },
            {"license_string": _text},
        ),
        "reconstruction": _fields(
            {
                "transfer_protocol": _fields(
                    {"protocol": _one_of("ISMRMRD"), "version": _one_of("1.4.1")}, others=True
                ),
                "port": _whole(1, 65535),
                "emitter": _one_of("raw", "image"),
                "injector": _one_of("compleximage", "image"),
                "can_use_gpu": _truth,
                "min_required_memory": _whole(0),
                "min_count_required_cpu_cores": _whole(1),
            },
            {
                "can_process_adjustment_data": _truth,
                "min_count_required_gpus": _whole(0),
                "min_required_gpu_memory": _whole(0),
                "content_qualification_type": _one_of("PRODUCT", "SERVICE", "RESEARCH"),
                "require_readout_filter_off": _truth,
                "channel_compression": _fields(
                    {}, {"require_state": _one_of("on", "off"), "require_number_target_channels": _whole(1)}
                ),
            },
        ),
        "parameters": _list_of(_parameter),
    }
)
