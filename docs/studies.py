"""Write the tables of `docs/studies.md` from the results in `docs/studies/`.

    python docs/studies.py

The page has a section for every study, whose text is written by hand. The part between its two markers is replaced by
the report of the study, as `spokestream study` writes it.
"""

import re
from pathlib import Path

from spokestream.pipelines.studies.registry import STUDIES, load_study
from spokestream.pipelines.studies.report import markdown
from spokestream.pipelines.studies.running import stored_results

PAGE = Path(__file__).with_suffix(".md")
RESULTS = PAGE.with_suffix("")


def page(text: str) -> str:
    """The page with the reports of all studies that have results."""
    for name in STUDIES:
        path = RESULTS / f"{name}.json"
        if path.exists():
            report = markdown(load_study(name), stored_results(path)[0])
            block = f"<!-- {name} -->\n\n{report}\n<!-- end of {name} -->"
            text = re.sub(f"<!-- {name} -->.*?<!-- end of {name} -->", lambda _, block=block: block, text, flags=re.S)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
