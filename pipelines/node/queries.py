"""Questions about the node itself, as Gadgetron's clients ask them (`gadgetron_ismrmrd_client -Q`)."""

import platform
from importlib.metadata import version

from spokestream import __version__

__all__ = ["answer"]


def answer(query: str) -> str:
    """The answer to a query, "Unknown query" when there is none."""
    match query.strip():
        case "ismrmrd::version":
            return version("ismrmrd")
        case "gadgetron::version" | "gadgetron::build":
            return f"spokestream {__version__}"
        case "gadgetron::info":
            packages = (f"{package} {version(package)}" for package in ("torch", "finufft", "numpy", "ismrmrd"))
            python = f"Python {platform.python_version()}"
            return "\n".join([f"spokestream {__version__}", *packages, python, platform.platform()])
        case "gadgetron::info::python":
            return platform.python_version()
    return "Unknown query"
