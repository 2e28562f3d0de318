"""The manual that a package for a console contains: a PDF of the label's parameters."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["write_manual"]

PAGE_INCHES = (8.27, 11.69)
"""A4, upright."""
LINES, COLUMNS, POINTS = 62, 92, 9
MARGIN = 0.08
"""The margin as a fraction of the width and of the height of the page."""

INTRODUCTION = """Quantitative maps from MR fingerprinting: fat fraction, T1 of water and fat, off-resonance and B1 of
ideally spoiled trains (MRF T1-FF), T1 and T2 of gradient-spoiled ones (FISP).

For research. This is no medical device, and its maps are not for diagnosis. MR fingerprinting is patented in some
countries.

The scan must send its raw data: radial spokes, spiral arms or echo-planar images, with the sequence in the header, or
named by the parameter "Sequence". The maps come back as image series of their own; their pixel values are quantities,
with slope and offset in their metadata. A scan that cannot be reconstructed gives one sentence in the log of the
reconstruction, and no images.

The first scan at a site should be a phantom of known values; docs/scanners.md and docs/acceptance.md of the source say
how."""


def write_manual(path: Path, label: dict[str, Any]) -> None:
    """Write the manual of a label as a PDF, which is the same for the same label."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    lines = list(_lines(label))
    with PdfPages(path, metadata={"CreationDate": None, "Title": lines[0]}) as document:
        for first in range(0, len(lines), LINES):
            page = Figure(figsize=PAGE_INCHES)
            text = "\n".join(lines[first : first + LINES])
            page.text(MARGIN, 1 - MARGIN, text, va="top", family="DejaVu Sans Mono", size=POINTS, parse_math=False)
            document.savefig(page)


def _lines(label: dict[str, Any]) -> Iterator[str]:
    general = label["general"]
    yield f"{general['name']['en']} {general['version']}"
    yield f"Built by {general['vendor']} on {general['regulatory_information']['manufacture_date']}"
    yield ""
    for paragraph in INTRODUCTION.split("\n\n"):
        yield from (*textwrap.wrap(" ".join(paragraph.split()), COLUMNS), "")
    yield from ("Parameters", "")
    for one in label["parameters"]:
        yield f"{one['label']['en']} ({one['id']}), {_allowed(one)}"
        yield from (f"    {line}" for line in textwrap.wrap(one["information"]["en"], COLUMNS - 4))
        yield ""


def _allowed(parameter: dict[str, Any]) -> str:
    if parameter["type"] == "choice":
        allowed = "one of " + ", ".join(value["id"] for value in parameter["values"])
    elif "minimum" in parameter:
        allowed = f"{parameter['minimum']:g} to {parameter['maximum']:g}"
    else:
        allowed = "a text, or nothing"
    return allowed + (f" [{parameter['default']}]" if parameter["default"] != "" else "")
