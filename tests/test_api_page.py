"""The page of names is what `docs/api.py` writes from the code of today."""

import ast
import re
import runpy
from pathlib import Path

import spokestream

DOCS = Path(__file__).parents[1] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "api.py"))


def test_the_page_is_up_to_date():
    assert (DOCS / "api.md").read_text() == SCRIPT["page"](), "run `python docs/api.py`"


def test_every_public_name_and_the_central_classes_are_on_the_page():
    found = re.findall(r"^### (\w+)$", SCRIPT["page"](), flags=re.MULTILINE)
    public = [name for name in spokestream.__all__ if name != "__version__"]
    assert found[: len(public)] == public
    central = {"Gadget", "Chain", "ScanContext", "Spoke", "Fingerprints", "ParameterMaps", "TissueModel", "Quantity"}
    assert central <= set(found)
    assert len(found) == len(set(found))


def test_outlines_are_python_and_show_what_is_public():
    blocks = re.findall(r"^```python\n(.*?)^```$", SCRIPT["page"](), flags=re.DOTALL | re.MULTILINE)
    nodes = {node.name: node for block in blocks for node in ast.parse(block).body}
    chain = {member.name: member for member in nodes["Chain"].body if isinstance(member, ast.FunctionDef)}
    assert list(chain) == ["__init__", "feed", "finish", "close", "cancel"]  # not `_push`
    assert [len(method.body) for method in chain.values()] == [1, 1, 1, 1, 1]
    assert ast.get_docstring(chain["close"]).startswith("Close every gadget once")
    fields = [member.target.id for member in nodes["ParameterMaps"].body if isinstance(member, ast.AnnAssign)]
    assert fields[:3] == ["maps", "slice", "geometry"]
    quantity = [member.name for member in nodes["Quantity"].body if isinstance(member, ast.FunctionDef)]
    assert quantity == ["is_check", "validity", "label", "digits", "standard_deviation"]
