"""`spokestream dictionary`: make a dictionary file for a sequence, on a published grid."""

import argparse
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from spokestream.errors import FileError, InputError
from spokestream.pipelines.cli.progress import counting_progress

if TYPE_CHECKING:
    from rich.console import Console

    from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["HELP", "options", "run"]

HELP = "make a dictionary file for a sequence"

T1FF = "t1ff"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the file, the sequence, the grid, the compression."""
    from spokestream.simulator.physics.dictionaries.t1t2 import GRIDS
    from spokestream.simulator.physics.sequences.loading import preset_names

    parser.add_argument(
        "file", type=Path, metavar="OUT.h5", help="where to write; an interrupted dictionary is continued"
    )
    parser.add_argument(
        "--sequence", required=True, metavar="NAME", help=f"a .toml or .seq file, or one of {', '.join(preset_names())}"
    )
    parser.add_argument(
        "--grid", required=True, choices=(T1FF, *GRIDS), help="water, fat and B1 (t1ff), or T1 and T2 as published"
    )
    parser.add_argument(
        "--compress",
        type=_number,
        metavar="X",
        help="compress to a fraction of the energy (0.9999) or to a rank (12); by default every spoke is kept",
    )


def run(arguments: argparse.Namespace) -> None:
    """Make the dictionary and say in one line what came out. Raises SpokestreamError for what cannot be made."""
    from rich.console import Console

    from spokestream.simulator.physics.sequences.loading import load_sequence

    console, file = Console(), arguments.file
    sequence = load_sequence(arguments.sequence)
    start = perf_counter()
    if arguments.grid == T1FF:
        made = _t1ff(file, sequence, arguments.compress)
    else:
        made = _t1t2(file, sequence, arguments.grid, arguments.compress, console)
    size_mb, seconds = file.stat().st_size / 1e6, perf_counter() - start
    console.print(f"{made}; {size_mb:.1f} MB in {seconds:.1f} s: {file}", highlight=False, soft_wrap=True)


def _t1ff(file: Path, sequence: "PulseSequence", compress: float | None) -> str:
    from spokestream import __version__
    from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary, save_dictionary

    if compress is not None:
        raise InputError("A T1-FF dictionary is compressed when a scan starts; leave --compress out.")
    if not file.parent.is_dir():
        raise FileError(f"There is no folder {file.parent} to write the dictionary to.")
    dictionary = build_dictionary(sequence)
    save_dictionary(file, dictionary, __version__)
    return f"{len(dictionary.atoms):,} atoms, {len(sequence):,} spokes each"


def _t1t2(file: Path, sequence: "PulseSequence", grid: str, compress: float | None, console: "Console") -> str:
    from spokestream import __version__
    from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
    from spokestream.simulator.physics.dictionaries.t1t2 import GRIDS

    with counting_progress(console, "atoms") as show:
        dictionary = build_t1t2_dictionary(file, sequence, GRIDS[grid](), compress, __version__, show)
    atoms, columns_kept = dictionary.atoms.shape
    if dictionary.basis is None:
        return f"{atoms:,} atoms, {columns_kept:,} spokes each"
    return f"{atoms:,} atoms, rank {columns_kept} keeps {100 * dictionary.energy:.6g} % of their energy"


def _number(text: str) -> float:
    """A whole number is a rank and must remain a whole number; any other number is a fraction."""
    try:
        return int(text)
    except ValueError:
        return float(text)
