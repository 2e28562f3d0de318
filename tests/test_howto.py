"""The programs of the how-to pages run as they are printed."""

import re
import runpy
from pathlib import Path

import pytest

from spokestream.models.training.recipes import RECIPES
from spokestream.pipelines.chains import PIPELINES
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.physics.tissue_models.registry import TISSUE_MODELS

DOCS = Path(__file__).parents[1] / "docs"


def programs():
    """(page, heading, [(language, text), ...]) of every section that has code blocks."""
    for page in ("howto.md", "tissue_models.md"):
        for section in re.split(r"^## ", (DOCS / page).read_text(), flags=re.MULTILINE)[1:]:
            heading = section.partition("\n")[0]
            blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
            if blocks:
                yield pytest.param(blocks, id=f"{page}-{heading}")


@pytest.fixture(autouse=True)
def registries():
    """What a program adds is taken away again."""
    kept = [(registry, dict(registry)) for registry in (QUANTITIES, TISSUE_MODELS, RECIPES, PIPELINES)]
    yield
    for registry, entries in kept:
        registry.clear()
        registry.update(entries)


@pytest.mark.parametrize("blocks", list(programs()))
def test_a_program_of_the_pages_runs(blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {language for language, _ in blocks} <= {"python", "toml", "sh"}
    for language, text in blocks:
        if language == "toml":
            Path("mine.toml").write_text(text)
    program = Path("program.py")  # a file, because TorchScript reads the source of what it compiles
    program.write_text("\n".join(text for language, text in blocks if language == "python"))
    runpy.run_path(str(program))
    assert any("\nassert " in text for _, text in blocks)


def test_every_section_is_run():
    assert [param.id for param in programs()] == [
        "howto.md-A quantity", "howto.md-A sequence", "howto.md-A gadget", "howto.md-A network",
        "howto.md-Maps in the formats of a site", "howto.md-A year of scans over night",
        "tissue_models.md-Adding a model",
    ]  # fmt: skip


def test_the_table_of_tissue_models_is_the_one_in_the_code():
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \| (.*?) \| .*? \|$", (DOCS / "tissue_models.md").read_text(), flags=re.MULTILINE
    )
    found = {
        name: ([] if pools == "one" else pools.split(", "), tuple(re.findall(r"`(\w+)`", names)))
        for name, pools, names in rows
    }
    assert found == {
        model.name: (sorted({p.pool for p in model.parameters if p.pool}, reverse=True), model.names)
        for model in TISSUE_MODELS.values()
    }
