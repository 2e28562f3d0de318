"""Simulate all anatomies, reconstruct them, and write `docs/gallery.md`: maps, truth, errors, and a table of errors.

    python docs/gallery.py [ANATOMY ...]

Without names, all anatomies are simulated. Each takes about half a minute.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from rich.console import Console

from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.files.plane import plane_of
from spokestream.pipelines.files.replay import reconstruct
from spokestream.pipelines.files.truth import MapError, map_errors, read_truth, write_comparison
from spokestream.pipelines.selection import select
from spokestream.simulator.phantoms import ANATOMIES, DEFAULT_FOV_MM
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

PAGE = Path(__file__).with_suffix(".md")
PICTURES = PAGE.with_suffix("")
WIDTH = 1000
QUALITY = 80
"""JPEG keeps every colour, so that pictures and colour bars agree; eight of this quality are about a megabyte."""

INTRODUCTION = """# Gallery

Subject 0 of the patients: one slice of 350 x 350 pixels in each anatomy, 12 coils, default noise, sequence
`t1ff-2d-1400`, simulated and reconstructed by the pipeline `mrf_t1ff`. The columns are reconstructed map, truth,
and error, black where the map or its truth has no meaning. `python docs/gallery.py` writes this page.

The dictionary of MRF T1-FF ends at a water T1 of 2,000 ms and at a B1 of 1. Fluid and parts of the brain have larger
values. Off-resonance beyond 120 Hz is not in its grid, either. In tables, *muscle* is all tissue outside bone with a
fat fraction below 0.7, including fluid, and *fat* is the rest.
"""


def section(anatomy: str) -> str:
    """Simulate, reconstruct and draw one anatomy. Returns its section of the page."""
    with TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.h5"
        simulate_scan(scan, SimulationSettings(anatomy=anatomy))
        images, _ = reconstruct(read_scan(scan), select("mrf_t1ff"))
        maps, truth = map_volumes(images), read_truth(truth_path(scan))
        rows = map_errors(maps, truth)
        picture = Path(folder) / "picture.png"
        write_comparison(picture, maps, truth, plane_of(images[0]))
        shrink(picture, PICTURES / f"{anatomy}.jpg")
    return (
        f"\n## {anatomy.capitalize()}\n\n{ANATOMIES[anatomy]}; field of view {DEFAULT_FOV_MM[anatomy]:g} mm.\n\n"
        f"![{anatomy}: reconstructed, true, error](gallery/{anatomy}.jpg)\n\n{errors(rows)}"
    )


def errors(rows: list[MapError]) -> str:
    """The table of errors of a section, in Markdown."""
    lines = ["| map | bias, muscle | RMSE, muscle | bias, fat | RMSE, fat |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row.name for row in rows):
        kind = QUANTITIES[name]
        digits = ".3f" if kind.unit == "1" else ".1f"
        unit = "" if kind.unit == "1" else f" ({kind.unit})"
        cells = [
            f"{row.bias:+{digits}} | {row.rmse:{digits}}" if row.voxels else " | " for row in rows if row.name == name
        ]
        lines.append(f"| {kind.title}{unit} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shrink(source: Path, target: Path) -> None:
    """Write a picture with a width of `WIDTH` as JPEG, in true colours."""
    with Image.open(source) as picture:
        size = (WIDTH, round(picture.height * WIDTH / picture.width))
        small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        small.save(target, quality=QUALITY, subsampling=0, optimize=True)


def main() -> None:
    """Replace the sections of the given anatomies, and keep the rest of the page."""
    console = Console()
    PICTURES.mkdir(exist_ok=True)
    written = PAGE.read_text().split("\n## ")[1:] if PAGE.exists() else []
    sections = {text.split("\n", 1)[0].lower(): f"\n## {text.rstrip()}\n" for text in written}
    for anatomy in sys.argv[1:] or ANATOMIES:
        with console.status(f"{anatomy} ..."):
            sections[anatomy] = section(anatomy)
        console.print(f"{anatomy}: {PICTURES / anatomy}.jpg")
    PAGE.write_text(INTRODUCTION + "".join(sections[anatomy] for anatomy in ANATOMIES if anatomy in sections))


if __name__ == "__main__":
    main()
