"""The phantoms that the acceptance test knows by name, and those that a file of vials declares."""

from pathlib import Path

import h5py

from spokestream.errors import FileError, InputError
from spokestream.pipelines.acceptance.layouts.layout import Layout, nist_layouts, squares_layout
from spokestream.pipelines.acceptance.layouts.vials_file import read_vials
from spokestream.simulator.phantoms.subject import draw_subject
from spokestream.simulator.scan_files.scan_file import truth_path

__all__ = ["phantom_layouts"]


def phantom_layouts(phantom: str, scan: Path) -> tuple[Layout, ...]:
    """The layouts of a phantom.

    Args:
        phantom: `nist`, `squares`, or the path of a file of vials.
        scan: the scan. The values of the squares are drawn for every simulated scan; the truth beside it says for whom.

    Raises InputError for an unknown phantom, and FileError for a file that declares no vials, and for squares without
    the truth of the scan.

    """
    if phantom == "nist":
        return nist_layouts()
    if phantom == "squares":
        return (squares_layout(draw_subject(*_subject(truth_path(scan)))),)
    path = Path(phantom)
    if path.suffix.lower() != ".toml":
        raise InputError(f"There is no phantom '{phantom[:64]}'; known are nist, squares, and files of vials (*.toml).")
    return (read_vials(path),)


def _subject(truth: Path) -> tuple[str, int]:
    """Population and number of the subject of a simulated scan. Raises FileError if it is unknown."""
    try:
        with h5py.File(truth) as file:
            if str(file.attrs["anatomy"]) != "squares":
                raise FileError(f"{truth} is the truth of another phantom, {file.attrs['anatomy']}.")
            return str(file.attrs["population"]), int(file.attrs["seed"])
    except (OSError, KeyError, ValueError):
        raise FileError(
            f"The values of the squares are drawn at random for every simulated scan, and the file {truth} that says "
            "which they are cannot be read."
        ) from None
