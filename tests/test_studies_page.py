"""The page of studies shows the results that are stored beside it."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_is_that_of_the_stored_results():
    text = (DOCS / "studies.md").read_text("utf-8")
    assert runpy.run_path(str(DOCS / "studies.py"))["page"](text) == text, "run `python docs/studies.py`"
    for path in (DOCS / "studies").glob("*.json"):
        assert f"spokestream study {path.stem} --scale" in text
