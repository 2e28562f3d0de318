"""Every term of a report is defined, and no definition is left over."""

import ast
import re
from pathlib import Path

from spokestream.gadgets.map_images import PIXEL_COUNTS
from spokestream.gadgets.spoke_quality import KINDS
from spokestream.pipelines.files.report.terms import COUNTS, PROVENANCE
from spokestream.simulator.physics.quantities import QUANTITIES

ROOT = Path(__file__).parents[4]
SOURCES = {path: path.read_text() for name in ("gadgets", "pipelines") for path in (ROOT / name).rglob("*.py")}


def counted_kinds():
    """The kinds that the code counts: those of `ledger.note`, `ledger.record` and the functions that pass them on."""
    found = {*KINDS, *PIXEL_COUNTS}
    for path, text in SOURCES.items():
        if path.parts[len(ROOT.parts)] != "gadgets":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and {getattr(node.func, key, "") for key in ("attr", "id")} & {
                "note",
                "record",
            }:
                words = (str(word.value) for word in node.args if isinstance(word, ast.Constant))
                found |= {word for word in words if re.fullmatch("[a-z_]+", word)}
    return found


def test_every_count_is_defined():
    assert {"missing", "late", "not_finite", "flagged", "clipped"} <= counted_kinds()
    assert counted_kinds() <= COUNTS.keys()
    everything = "\n".join(text for path, text in SOURCES.items() if path.name != "terms.py")
    assert [kind for kind in COUNTS if f'"{kind}"' not in everything] == []


def test_every_entry_of_the_provenance_is_defined():
    named = {key for text in SOURCES.values() for key in re.findall(r'provenance\["(\w+)"\]', text)}
    assert {"pipeline", "network", "trajectory"} <= named
    assert named <= PROVENANCE.keys()
    assert PROVENANCE.keys() - named == {"inversion_efficiency", "quality", "version"}


def test_every_quantity_says_what_it_is_in_one_sentence():
    for name, quantity in QUANTITIES.items():
        assert re.fullmatch(r"[A-Z][^.]*(\.\d[^.]*)*\.", quantity.meaning), name
