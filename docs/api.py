"""Write `docs/api.md`: the public names and the central classes, with their signatures and docstrings.

    python docs/api.py

Everything is copied from the source text. The bodies of functions and private members are left out.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import spokestream
from spokestream.gadgets import messages
from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.quantities import Bids, Quantity, Spread, Where
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm, Parameter, Region, TissueModel

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """# Names for programs

These are the signatures and docstrings of the code. `python docs/api.py` writes this page.
[How to add something](howto.md) and [Tissue models](tissue_models.md) show how the classes are used.
"""

Function = ast.FunctionDef


def page() -> str:
    """The page as Markdown."""
    public = [getattr(spokestream, name) for name in spokestream.__all__ if not name.startswith("_")]
    own = [getattr(messages, name) for name in messages.__all__ if name != "NOWHERE"]
    sections = {
        "import spokestream": ("`spokestream.__version__` is the version of the installed software, as text.", public),
        "Gadgets": ("", [Gadget, Chain, ScanContext]),
        "Messages": ("`Complex`, `Float` and `Mask` are numpy arrays of complex64, float32 and bool.", own),
        "Quantities": ("", [Quantity, Where, Spread, Bids]),
        "Tissue models": ("", [TissueModel, Parameter, Region, ClosedForm]),
    }
    parts = [INTRODUCTION]
    for title, (sentence, objects) in sections.items():
        parts.append(f"## {title}\n")
        parts.extend([f"{sentence}\n"] if sentence else [])
        for one in objects:
            home = "spokestream" if one in public else one.__module__
            parts.append(f"### {one.__name__}\n\n`from {home} import {one.__name__}`\n")
            parts.append(f"```python\n{outline(one)}\n```\n")
    return "\n".join(parts)


def outline(described: Any) -> str:
    """The source of a class or function without bodies of functions and without private members."""
    source = dedent(inspect.getsource(described))
    lines = source.splitlines()
    (node,) = ast.parse(source).body
    if isinstance(node, Function):
        return "\n".join(_header(node, lines))
    assert isinstance(node, ast.ClassDef)
    return "\n".join(_class(node, lines))


def _class(node: ast.ClassDef, lines: list[str]) -> Iterator[str]:
    first = min(part.lineno for part in (node, *node.decorator_list))
    yield from lines[first - 1 : node.body[0].lineno - 1]
    private = False
    for i, member in enumerate(node.body):
        documents = isinstance(member, ast.Expr)  # the string after a field, which has the fate of the field
        if not documents:
            private = _is_private(member)
        if private:
            continue
        if isinstance(member, Function):
            yield from ("", *_header(member, lines))
        else:
            yield from ([""] if i == 1 else [])
            yield from lines[member.lineno - 1 : member.end_lineno]


def _is_private(member: ast.stmt) -> bool:
    if isinstance(member, Function):
        magic = member.name.startswith("__") and (member.name == "__init__" or ast.get_docstring(member) is not None)
        return member.name.startswith("_") and not magic
    targets = [member.target] if isinstance(member, ast.AnnAssign) else getattr(member, "targets", [])
    return any(isinstance(target, ast.Name) and target.id.startswith("_") for target in targets)


def _header(node: Function, lines: list[str]) -> Iterator[str]:
    """The decorators, the signature and the docstring of a function."""
    first = min(part.lineno for part in (node, *node.decorator_list))
    body = node.body[0]
    if ast.get_docstring(node) is not None:
        yield from lines[first - 1 : body.end_lineno]
    else:
        *signature, last = lines[first - 1 : body.lineno - 1]
        yield from (*signature, f"{last} ...")


if __name__ == "__main__":
    PAGE.write_text(page())
