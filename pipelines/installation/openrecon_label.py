"""The label by which OpenRecon knows a container: what it needs, and the parameters that its console shows.

The fields are those of the schema `OpenReconSchema_1.1.0.json`, as NeuroDesk publishes it in its repository
`neurocontainers`; `label_faults` checks them.
"""

from datetime import date
from typing import Any

from spokestream import __version__
from spokestream.pipelines.settings import AUTO, SETTINGS, AutoSettings
from spokestream.settings import Declaration, declarations

__all__ = ["LABEL_NAME", "MEMORY_MB", "PORT", "console_parameters", "console_values", "openrecon_label"]

LABEL_NAME = "com.siemens-healthineers.magneticresonance.openrecon.metadata:1.1.0"
PORT = 9002
MEMORY_MB = 8192
"""Memory that the container asks for. The node plans 2.1 GiB for a scan of 512 x 512 pixels from 32 coils, and two
scans may overlap; it takes 0.6 of the container's memory for scans and uses some 300 MiB itself."""
CORES = 2
"""The default of the setting `threads`."""
NOT_SHOWN = {
    "datatype": "the console takes uint16 alone",
    "basis": "others than the compressed one are for research",
    "window": "belongs to a basis that is for research",
    "stride": "belongs to a basis that is for research",
    "provisional": "the console would file provisional series beside the final ones",
}
"""Settings that a scanner may set and that the page has no room for, and why these."""
MEANINGS = {"sequence": "Name of a preset, whatever the header says; without one, the header says the sequence."}
"""What a setting means at a console, where that differs: a console cannot name a file."""
LONGEST_UNIT = 3
TITLES = {
    AUTO: "By the sequence", "mrf_t1ff": "T1-FF, matching", "mrf_t1ff_net": "T1-FF, network",
    "mrf_t1t2": "T1-T2, matching", "mrf_t1t2_net": "T1-T2, network",
}  # fmt: skip


def openrecon_label(vendor: str, made: date, memory_mb: int = MEMORY_MB, gpu: bool = False) -> dict[str, Any]:
    """The content of the label.

    Args:
        vendor: who builds the container and answers for it.
        made: the day on which it is built.
        memory_mb: memory that the container asks for, in MB.
        gpu: whether the container can use a GPU; it never needs one.

    """
    name, version = "spokestream", __version__
    information = "Quantitative maps from MR fingerprinting. For research; not a medical device."
    return {
        "general": {
            "name": {"en": name},
            "version": version,
            "vendor": vendor,
            "information": {"en": information},
            "id": name,
            "regulatory_information": {
                "device_trade_name": name,
                "production_identifier": version,
                "manufacturer_address": vendor,
                "made_in": vendor,
                "manufacture_date": f"{made:%Y/%m/%d}",
                "material_number": f"{name}_{version}",
                "gtin": "",
                "udi": "",
                "safety_advices": "For research; not for diagnosis.",
                "special_operating_instructions": "",
                "additional_relevant_information": "",
            },
        },
        "reconstruction": {
            "transfer_protocol": {"protocol": "ISMRMRD", "version": "1.4.1"},
            "port": PORT,
            "emitter": "raw",
            "injector": "image",
            "can_process_adjustment_data": False,
            "can_use_gpu": gpu,
            "min_count_required_gpus": 0,
            "min_required_gpu_memory": 0,
            "min_required_memory": memory_mb,
            "min_count_required_cpu_cores": CORES,
            "content_qualification_type": "RESEARCH",
            "require_readout_filter_off": True,
            "channel_compression": {"require_state": "off"},
        },
        "parameters": console_parameters(),
    }


def console_parameters() -> list[dict[str, Any]]:
    """The parameters of the console: the pipeline, and the settings that a scanner may set."""
    shown = [d for d in declarations(AutoSettings).values() if d.peer and d.name not in NOT_SHOWN]
    return [_pipeline(), *map(_parameter, shown)]


def console_values() -> dict[str, Any]:
    """The parameters with their defaults, as the console sends them if nothing is changed."""
    return {one["id"]: one["default"] for one in console_parameters()}


def _pipeline() -> dict[str, Any]:
    values = [{"id": name, "name": {"en": TITLES[name]}} for name in (AUTO, *SETTINGS)]
    meaning = "What is mapped, and how."
    return _entry("choice", "config", "Pipeline", meaning) | {"default": AUTO, "values": values}


def _parameter(declared: Declaration) -> dict[str, Any]:
    words = declared.name.replace("_", " ")
    meaning = MEANINGS.get(declared.name, declared.meaning)
    entry = _entry(_kind(declared), declared.name.replace("_", ""), words[0].upper() + words[1:], meaning)
    entry["default"] = "" if declared.default is None else declared.default
    if declared.choices:
        entry["values"] = [{"id": choice, "name": {"en": choice}} for choice in declared.choices]
    elif declared.kind is not str:
        entry |= {"minimum": declared.low, "maximum": declared.high}
        if 0 < len(declared.unit) <= LONGEST_UNIT:
            entry["unit"] = {"en": declared.unit}
    return entry


def _kind(declared: Declaration) -> str:
    return "choice" if declared.choices else {int: "int", float: "double", str: "string"}[declared.kind]


def _entry(kind: str, name: str, label: str, meaning: str) -> dict[str, Any]:
    return {"type": kind, "id": name, "label": {"en": label}, "information": {"en": meaning}}
