"""Networks that come with the software, and where their archives are."""

from pathlib import Path

from spokestream.errors import InputError

__all__ = ["archive_path", "shipped_networks"]

FOLDER = Path(__file__).parent


def shipped_networks() -> dict[str, Path]:
    """The archives in this folder, by network name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.pt"))}


def archive_path(network: str) -> Path:
    """The archive of the network with this name. Raises InputError, which lists the known names, for another name."""
    shipped = shipped_networks()
    if network not in shipped:
        raise InputError(f"There is no network '{network[:64]}'; known are {', '.join(shipped) or 'none'}.")
    return shipped[network]
