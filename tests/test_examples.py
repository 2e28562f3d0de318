"""The examples: each runs cell by cell, and says what it should."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.files.ismrmrd_file import read_scan

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TOOL = runpy.run_path(str(ROOT / "docs/notebooks.py"))
SAYS = {
    "first_maps": r"t1ff-2d-1400, 1400 spokes; trajectory: embedded\nt1h2o in ms, .*below 0\.2: 1[34]\d\d ms",
    "compare_reconstructions": r"matching ff .* RMSE   0\.0[0-7]\d\n.*network  ff .* RMSE   0\.0[0-4]\d\n",
    "node_and_scanner": r"45 images came back\.\nslice 1: last readout at 1\.\d s, .*\nslice 3: last readout at 5",
    "own_sequence": r"640 spokes in 80 frames; one slice takes 5\.7 s.*t1h2o: median 1[34]\d\d ms",
    "own_network": r"120 steps; best after epoch \d+; .*network  RMSE of the fat fraction 0\.[01]",
    "own_gadget": r"\d+ spokes peak in the outer half",
}
FIGURES = {
    "first_maps": 1, "compare_reconstructions": 1, "node_and_scanner": 1, "own_sequence": 1, "own_network": 2,
    "own_gadget": 0,
}  # fmt: skip


def test_every_example_is_run_and_listed():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == SAYS.keys()
    listed = re.findall(r"^\| \[(\w+)\.py\]\(\1\.py\) \|", (EXAMPLES / "README.md").read_text(), flags=re.MULTILINE)
    assert set(listed) == SAYS.keys()


@pytest.fixture(autouse=True)
def pipelines():
    """The pipelines that an example adds are taken away again."""
    kept = dict(PIPELINES)
    yield
    PIPELINES.clear()
    PIPELINES.update(kept)


@pytest.mark.parametrize("name", SAYS)
def test_its_notebook_runs_and_says_what_it_found(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    book = TOOL["notebook"]((EXAMPLES / f"{name}.py").read_text())
    TOOL["run"](book)
    outputs = [output for cell in book["cells"] for output in cell.get("outputs", ())]
    printed = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    assert re.search(SAYS[name], printed, flags=re.DOTALL), printed
    text, pictures = TOOL["page"](book, name)
    assert len(pictures) == FIGURES[name]
    assert all(content.startswith(b"\x89PNG") and f"]({file})" in text for file, content in pictures.items())
    assert f"```text\n{printed.splitlines()[0]}" in text
    if name == "own_gadget":
        assert printed.startswith(f"{peaks_outside(tmp_path / 'spikes.h5')} spokes peak")


def peaks_outside(scan):
    """The number of spokes of 96 samples, with k = 0 at sample 48, whose strongest one lies in the outer half."""
    peaks = np.array([np.abs(spoke.data).max(axis=0).argmax() for spoke in read_scan(scan)])
    outside = np.count_nonzero(np.abs(peaks - 48) > 24)
    assert 0 < outside < len(peaks) * 0.02
    return outside


SMALL = '''"""A title.

What it shows.
"""

# %%
print(6 * 7)

# %% [markdown]
# Text with *emphasis*,
#
# in two paragraphs.

# %%
from matplotlib import pyplot
_ = pyplot.plot([1, 2])
'''


def test_cells_of_the_percent_format_become_cells_of_a_notebook():
    book = TOOL["notebook"](SMALL)
    assert [(cell["cell_type"], cell["source"]) for cell in book["cells"]] == [
        ("markdown", "# A title\n\nWhat it shows."),
        ("code", "print(6 * 7)"),
        ("markdown", "Text with *emphasis*,\n\nin two paragraphs."),
        ("code", "from matplotlib import pyplot\n_ = pyplot.plot([1, 2])"),
    ]
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == 4
    assert json.loads(json.dumps(book)) == book


def test_outputs_stand_behind_their_cells():
    book = TOOL["notebook"](SMALL)
    TOOL["run"](book)
    text, pictures = TOOL["page"](book, "small")
    assert "```python\nprint(6 * 7)\n```\n\n```text\n42\n```" in text
    assert text.rstrip().endswith("![What the cell shows](small-1.png)")
    assert list(pictures) == ["small-1.png"]


def test_an_example_without_a_docstring_is_refused():
    with pytest.raises(ValueError, match="begins with a docstring"):
        TOOL["notebook"]("# %%\nprint()\n")
