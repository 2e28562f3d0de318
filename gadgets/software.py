"""Which software made an image."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["software_version"]


def software_version() -> str:
    """Version of the installed package; "unknown" in a bare checkout, which has none."""
    try:
        return version("spokestream")
    except PackageNotFoundError:
        return "unknown"
