"""`spokestream accept`: measure a phantom of known values in a scan; it passes or fails."""

import argparse
from pathlib import Path

from spokestream.errors import ScanError
from spokestream.pipelines.cli.options import add_set_option, named_values
from spokestream.pipelines.cli.progress import counting_progress, warnings_on

__all__ = ["HELP", "options", "run"]

HELP = "measure a phantom of known values in a scan; it passes or fails"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the scan, the phantom, the folder, the baseline and the reconstruction."""
    parser.add_argument("scan", type=Path, help="scan of the phantom, as for `spokestream replay`")
    parser.add_argument(
        "--phantom", required=True, metavar="WHAT",
        help="nist, squares, or a file of vials (*.toml), which docs/acceptance.md describes",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("acceptance"), metavar="FOLDER",
        help="for the maps, acceptance.json and acceptance.png [acceptance]",
    )  # fmt: skip
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE",
        help="means of an earlier test (JSON) to compare with; written from this test if it does not exist",
    )  # fmt: skip
    parser.add_argument(
        "--pipeline", metavar="NAME", help="which reconstruction; by default the one whose maps the sequence encodes"
    )
    add_set_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Reconstruct, find the phantom, measure and judge it. Raises ScanError if it fails, SpokestreamError, OSError."""
    from rich.console import Console

    from spokestream.gadgets.scan.header import ScanHeader
    from spokestream.gadgets.scan.main_field import main_field
    from spokestream.pipelines.acceptance.accepting import MEASURED, accept_maps
    from spokestream.pipelines.acceptance.baseline import compared, read_baseline, write_baseline
    from spokestream.pipelines.acceptance.figure import acceptance_figure
    from spokestream.pipelines.acceptance.layouts.phantoms import phantom_layouts
    from spokestream.pipelines.acceptance.report import notes, tables, verdict, where, write_report
    from spokestream.pipelines.files.map_file import read_map_file
    from spokestream.pipelines.files.outputs import scan_maps
    from spokestream.pipelines.files.replay import replay

    a, console = arguments, Console()
    layouts = phantom_layouts(a.phantom, a.scan)
    baseline = read_baseline(a.baseline) if a.baseline and a.baseline.exists() else None
    errors = Console(stderr=True)
    with warnings_on(errors), counting_progress(errors, "readouts") as show:
        report = replay(a.scan, a.output, a.pipeline, {**MEASURED, **named_values(a.parameters)}, show)
    results = a.output / "acceptance.json", a.output / "acceptance.png"
    for old in results:  # those of an earlier scan do not belong to the new maps
        old.unlink(missing_ok=True)
    images, xml = read_map_file(a.output / "maps.h5")
    maps = scan_maps(images)
    measured = accept_maps(maps, layouts, main_field(ScanHeader.from_xml(xml)).tesla)
    if baseline:
        measured = compared(measured, baseline, report.pipeline)
    passed, sentence = verdict(measured)
    about = {
        "scan": str(a.scan),
        "phantom": a.phantom,
        "pipeline": report.pipeline,
        "parameters": report.parameters,
        "baseline": str(a.baseline) if baseline else None,
        "warnings": report.warnings,
    }
    write_report(results[0], measured, about)
    acceptance_figure(results[1], maps, measured)
    for table in tables(measured):
        console.print(table)
    for line in (*map(where, measured), *notes(measured)):
        console.print(line, highlight=False, markup=False)
    if baseline:
        console.print(f"The baseline is that of {baseline.date}.", highlight=False, markup=False)
    elif a.baseline and passed:
        write_baseline(a.baseline, measured, report.pipeline)
        console.print(f"The means are the baseline from now on: {a.baseline}.", highlight=False, markup=False)
    elif a.baseline:
        console.print("No baseline was written, because the test fails.", highlight=False, markup=False)
    wrote = f"Wrote the maps, acceptance.json and acceptance.png to {a.output}."
    console.print(wrote, highlight=False, markup=False, soft_wrap=True)
    if not passed:
        raise ScanError(sentence)
    console.print(f"[green]✓[/green] {sentence}", highlight=False)
