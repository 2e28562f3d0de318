"""A streaming reconstruction node for MR fingerprinting: golden-angle spokes in, quantitative maps out."""

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spokestream.pipelines.api import Maps, available_pipelines, load_dictionary, reconstruct, simulate
    from spokestream.pipelines.files.ismrmrd_file import Scan, read_scan

__all__ = [
    "Maps", "Scan", "__version__", "available_pipelines", "load_dictionary", "read_scan", "reconstruct", "simulate",
]  # fmt: skip

# finufft and torch each bring an OpenMP of their own and take turns within a scan: threads that spin while they wait
# would hold the cores that the other needs (measured next to other load: gridding four to fifty times slower). Both
# libraries read this when they are loaded, hence here, in the module that every import of this package runs first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("spokestream")
except PackageNotFoundError:  # a bare checkout
    __version__ = "unknown"

_HOMES = {
    **dict.fromkeys(
        ("Maps", "available_pipelines", "load_dictionary", "reconstruct", "simulate"), "spokestream.pipelines.api"
    ),
    **dict.fromkeys(("Scan", "read_scan"), "spokestream.pipelines.files.ismrmrd_file"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import spokestream` loads no torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'spokestream' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
