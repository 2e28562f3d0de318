"""Networks that come with the software, and where they lie."""

from pathlib import Path

from spokestream.errors import InputError

__all__ = ["archive_path", "shipped_networks"]

FOLDER = Path(__file__).parent


def shipped_networks() -> dict[str, Path]:
    """The archives of this folder, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.pt"))}


def archive_path(network: str) -> Path:
    """Where the network of that name lies. Raises InputError, which lists the names, for one that does not come."""
    shipped = shipped_networks()
    if network not in shipped:
        raise InputError(f"There is no network '{network[:64]}'; known are {', '.join(shipped) or 'none'}.")
    return shipped[network]
