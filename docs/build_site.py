"""Build the documentation as a site that needs no network, also when its pages are opened as files.

    python docs/build_site.py build/site

Sphinx gets a folder with the pages of `NAVIGATION` at the paths that they have in the repository, so that their links
need no change. Examples become pages (`docs/notebooks.py`), with what they showed if `build/notebooks` holds them.
"""

import io
import json
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from notebooks import notebook, page
from sphinx.application import Sphinx
from sphinx.errors import SphinxError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "build/notebooks"

FIRST = "docs/index.md"
NAVIGATION = {
    "First maps": [
        "examples/first_maps.py", "examples/compare_reconstructions.py", "docs/simulation.md", "docs/gallery.md",
        "docs/report.md", "README.md",
    ],
    "At the scanner": [
        "docs/deployment.md", "docs/scanners.md", "docs/security.md", "examples/node_and_scanner.py", "docs/console.md",
        "docs/conventions.md", "docs/protocol.md", "docs/robustness.md", "docs/vendors.md", "docs/acceptance.md",
    ],
    "Own sequence": ["docs/sequences.md", "examples/own_sequence.py"],
    "Own network": [
        "docs/training.md", "examples/own_network.py", "docs/networks.md", "docs/evaluation.md", "docs/studies.md",
    ],
    "How it works": ["docs/gadgets.md", "docs/tissue_models.md", "docs/restoration.md", "benchmarks/README.md"],
    "Extend it": ["docs/howto.md", "examples/own_gadget.py", "examples/README.md", "CONTRIBUTING.md"],
    "Reference": ["docs/api.md", "CHANGELOG.md"],
}  # fmt: skip
"""The pages of the site, as files of the repository, by what a reader wants."""

TITLES = {"README.md": "All commands, accuracy, speed", "docs/api.md": "Names for programs"}
"""Titles in the navigation that differ from those of the pages."""

SETTINGS = {
    "project": "spokestream",
    "html_title": "spokestream",
    "html_theme": "furo",
    "html_theme_options": {"footer_icons": [], "top_of_page_buttons": []},
    "html_show_copyright": False,
    "html_show_sourcelink": False,
    "html_copy_source": False,
    "html_static_path": [str(ROOT / "docs/static")],
    "html_css_files": ["site.css"],
    "extensions": ["myst_parser"],
    "myst_heading_anchors": 4,
    "root_doc": FIRST.removesuffix(".md"),
    "source_suffix": {".md": "markdown"},
}

LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
"""The target of a link or picture that is a file."""
COLOURS = re.compile(r"\x1b\[[\d;]*m")
"""The codes by which Sphinx colours a warning."""


def build(folder: Path) -> None:
    """Build the site in a folder.

    Raises SphinxError for a link or an anchor that leads nowhere, for a page that the navigation does not have, and for
    all else that Sphinx warns of.
    """
    with TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        write_source(source)
        warnings = io.StringIO()
        Sphinx(
            source, None, folder, Path(temporary) / "doctrees", "html", SETTINGS, status=None, warning=warnings
        ).build()
    if found := COLOURS.sub("", warnings.getvalue()).replace(f"{source}/", ""):
        raise SphinxError(found)
    first = Path(FIRST).with_suffix(".html")
    (folder / "index.html").write_text(f'<meta http-equiv="refresh" content="0; url={first}">\n')


def write_source(folder: Path) -> None:
    """Write the pages, and the files that they link to, at the paths that they have in the repository."""
    pages = {path for paths in NAVIGATION.values() for path in paths} | {FIRST}
    pages |= {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")}
    for path in sorted(pages):
        text = _example(path, folder) if path.endswith(".py") else (ROOT / path).read_text()
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).with_suffix(".md").write_text(_with_links(text, path, pages, folder) + _navigation(path))


def _example(path: str, folder: Path) -> str:
    """The page of an example; its notebook and its pictures are written to the folder."""
    book, name = notebook((ROOT / path).read_text()), Path(path).stem
    ran = NOTEBOOKS / f"{name}.ipynb"
    if ran.exists():
        shown = json.loads(ran.read_text())
        if [cell["source"] for cell in shown["cells"]] == [cell["source"] for cell in book["cells"]]:
            book = shown
    text, pictures = page(book, name)
    home = (folder / path).parent
    home.mkdir(parents=True, exist_ok=True)
    (home / f"{name}.ipynb").write_text(json.dumps(book, indent=1))
    for file, content in pictures.items():
        (home / file).write_bytes(content)
    return f"{text}\nThis example is the file [{path}]({name}.py), and a [notebook]({name}.ipynb).\n"


def _with_links(text: str, path: str, pages: set[str], folder: Path) -> str:
    """The text with its links to folders and examples led to pages; other files that it links to are copied."""

    def target(link: re.Match[str]) -> str:
        file = (ROOT / path).parent / link[1]
        if file.is_dir():
            return f"{link[0].rstrip('/')}/README.md"
        linked = str(file.resolve().relative_to(ROOT))
        if linked in pages and linked != path:
            return link[0].removesuffix(".py") + ".md" if linked.endswith(".py") else link[0]
        if file.exists():
            (folder / linked).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / linked)
        return link[0]

    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [LINK.sub(target, part) for part in parts[::2]]
    return "".join(parts)


def _navigation(path: str) -> str:
    """What the first page ends with: the pages of the navigation."""
    if path != FIRST:
        return ""
    parts = [""]
    for caption, paths in NAVIGATION.items():
        entries = [
            f"{TITLES[page]} </{page.removesuffix('.md')}>" if page in TITLES else f"/{Path(page).with_suffix('')}"
            for page in paths
        ]
        parts.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]))
    except SphinxError as error:
        sys.exit(f"The site was not built: {error}")
