"""Settings of a pipeline: frozen dataclasses whose fields say unit and meaning.

Command-line flags, parameters from the scanner and the documentation all derive from them.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from spokestream.errors import ScanError
from spokestream.gadgets.network.device import DEVICES, PRECISIONS

__all__ = ["SETTINGS", "StreamSettings", "T1FFNetSettings", "T1FFSettings", "read_settings", "setting"]


def setting(
    default: Any, help: str, *, unit: str = "", choices: tuple[str, ...] = (), low: float = 0, high: float = 0,
    peer: bool = True,
) -> Any:  # fmt: skip
    """Declare a settings field.

    Args:
        default: also gives the type: int, float or str.
        help: one line.
        unit: of numbers, where they have one.
        choices: the values allowed, for text.
        low: smallest number allowed.
        high: largest number allowed; no limits if equal to `low`.
        peer: whether a scanner may set it. Paths never: a peer names no file of ours.

    """
    return field(
        default=default,
        metadata={"help": help, "unit": unit, "choices": choices, "low": low, "high": high, "peer": peer},
    )


@dataclass(frozen=True)
class StreamSettings:
    """What every pipeline of MRF T1-FF has: from readouts to gridded images, and from maps to images of them."""

    sequence: str = setting("t1ff-2d-1400", "sequence preset, when the scan's header gives no trains and names none")
    coils: int = setting(8, "virtual coils to which the array is compressed", low=1, high=64)
    trajectory: str = setting(
        "auto",
        "auto: embedded, else golden angle; angle: radians in user_float[0]; golden: from the spoke's index",
        choices=("auto", "angle", "golden"),
    )
    integrity: str = setting("warn", "what an irregular spoke does to the scan", choices=("warn", "strict"))
    max_missing: float = setting(0.1, "share of a slice's spokes that may be missing or damaged", low=0.0, high=0.9)
    datatype: str = setting("uint16", "pixel type of the maps", choices=("uint16", "int16", "float32"))
    threads: int = setting(2, "CPU threads of a scan", low=1, high=256, peer=False)


@dataclass(frozen=True)
class T1FFSettings(StreamSettings):
    """Pipeline `mrf_t1ff`: MRF T1-FF by dictionary matching."""

    basis: str = setting("compressed", "temporal images that are gridded", choices=("compressed", "frames"))
    dictionary: str = setting("", "dictionary file (HDF5); by default atoms are computed at the start", peer=False)
    demodulation_hz: float = setting(
        200.0,
        "receiver frequency during the readout below water's, best midway to fat's, at 2.89 T",
        unit="Hz",
        low=-600,
        high=600,
    )


@dataclass(frozen=True)
class T1FFNetSettings(StreamSettings):
    """Pipeline `mrf_t1ff_net`: MRF T1-FF by a network."""

    network: str = setting("ours", "which of the networks that come with the software")
    archive: str = setting("", "network archive (.pt) to take instead", peer=False)
    device: str = setting(
        "auto", "where the network runs; auto is CUDA where there is some", choices=DEVICES, peer=False
    )
    precision: str = setting(
        "auto",
        "of the network; auto is half precision on CUDA, bfloat16 on CPUs that multiply it",
        choices=PRECISIONS,
        peer=False,
    )


SETTINGS: dict[str, type[StreamSettings]] = {"mrf_t1ff": T1FFSettings, "mrf_t1ff_net": T1FFNetSettings}
"""By the pipeline's name."""

Settings = TypeVar("Settings", bound=StreamSettings)


def read_settings(defaults: Settings, values: Mapping[str, str], *, trusted: bool = False) -> Settings:
    """Settings with some fields replaced by values that come as text.

    Args:
        defaults: what is not replaced.
        values: field name -> text.
        trusted: from our own command line; else only fields open to peers may be set.

    Raises:
        ScanError: for unknown fields and impossible values, with what is allowed.

    """
    open_fields = {f.name: f for f in fields(defaults) if trusted or f.metadata["peer"]}
    changes: dict[str, Any] = {}
    for name, text in values.items():
        if name not in open_fields:
            raise ScanError(f"There is no parameter '{name[:64]}'; known are {', '.join(open_fields)}.")
        changes[name] = _parse(open_fields[name], str(text))
    return replace(defaults, **changes)


def _parse(declared: "Field[Any]", text: str) -> object:
    rules = declared.metadata
    kind: type[Any] = type(declared.default)
    if kind is str:
        if rules["choices"] and text not in rules["choices"]:
            raise ScanError(f"Parameter {declared.name} is one of {', '.join(rules['choices'])}, not '{text[:64]}'.")
        if rules["peer"] and (Path(text).name != text or text.endswith(".toml")):
            raise ScanError(f"Parameter {declared.name} takes a name, not a path.")
        return text
    try:
        value = kind(text)
    except ValueError:
        raise ScanError(f"Parameter {declared.name} takes a number, not '{text[:64]}'.") from None
    low, high = rules["low"], rules["high"]
    if low < high and not low <= value <= high:
        unit = f" {rules['unit']}" if rules["unit"] else ""
        raise ScanError(f"Parameter {declared.name} lies between {low} and {high}{unit}, not at {text[:64]}.")
    return value
