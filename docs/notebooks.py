"""Make Jupyter notebooks of the examples, and pages of the site of the notebooks.

    python docs/notebooks.py FOLDER     # runs every example and writes its notebook, with what it showed, to the folder

An example is a Python file in the percent format: `# %%` begins a cell of code, `# %% [markdown]` a cell of text in
comments. The first cell is the docstring of the file.
"""

import ast
import base64
import io
import json
import linecache
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"

Notebook = dict[str, Any]
Cell = dict[str, Any]


def notebook(source: str) -> Notebook:
    """The notebook (format 4.5) of an example, without outputs.

    Raises ValueError for a file that does not begin with a docstring.
    """
    first, *cells = re.split(r"^# %%", source, flags=re.MULTILINE)
    text = ast.get_docstring(ast.parse(first))
    if text is None:
        raise ValueError("An example begins with a docstring: its title, and what it shows.")
    title, _, rest = text.partition("\n")
    made = [_cell(0, "markdown", f"# {title.rstrip('.')}\n{rest}")]
    for number, cell in enumerate(cells, 1):
        kind, _, body = cell.partition("\n")
        if kind.strip() == "[markdown]":
            made.append(_cell(number, "markdown", re.sub(r"^# ?", "", body, flags=re.MULTILINE)))
        else:
            made.append(_cell(number, "code", body))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": made}


def _cell(number: int, kind: str, text: str) -> Cell:
    cell: Cell = {"id": f"cell-{number}", "cell_type": kind, "metadata": {}, "source": text.strip()}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def run(book: Notebook) -> None:
    """Run the cells of a notebook in the current folder and keep what they print, and the figures that they open.

    Any exception of a cell is raised.
    """
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    codes = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(codes, 1):
        file = f"<cell {number}>"  # TorchScript reads the source of what it compiles
        linecache.cache[file] = (len(cell["source"]), None, cell["source"].splitlines(keepends=True), file)
        with redirect_stdout(io.StringIO()) as printed:
            exec(compile(cell["source"], file, "exec"), names)  # noqa: S102
        outputs: list[dict[str, Any]] = []
        if text := printed.getvalue():
            outputs.append({"output_type": "stream", "name": "stdout", "text": text})
        for figure in map(pyplot.figure, pyplot.get_fignums()):
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=80)
            data = {"image/png": base64.b64encode(picture.getvalue()).decode()}
            outputs.append({"output_type": "display_data", "metadata": {}, "data": data})
        pyplot.close("all")
        cell.update(execution_count=number, outputs=outputs)


def page(book: Notebook, name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by their file names, which begin with the name of the page."""
    pictures: dict[str, bytes] = {}
    parts = []
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            parts.append(cell["source"])
            continue
        parts.append(f"```python\n{cell['source']}\n```")
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                parts.append(f"```text\n{output['text'].rstrip()}\n```")
            else:
                picture = f"{name}-{len(pictures) + 1}.png"
                pictures[picture] = base64.b64decode(output["data"]["image/png"])
                parts.append(f"![What the cell shows]({picture})")
    return "\n\n".join(parts) + "\n", pictures


def main(folder: Path) -> None:
    """Run all examples, each in an empty folder, and write their notebooks."""
    folder.mkdir(parents=True, exist_ok=True)
    home = Path.cwd()
    for path in sorted(EXAMPLES.glob("*.py")):
        book = notebook(path.read_text())
        with TemporaryDirectory() as empty:
            os.chdir(empty)
            try:
                run(book)
            finally:
                os.chdir(home)
        (folder / f"{path.stem}.ipynb").write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
