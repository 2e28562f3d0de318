"""What the documentation shows is what the code does."""

import argparse
import re
from pathlib import Path

from torch import nn

from spokestream.gadgets.readouts.counters import COUNTERS
from spokestream.gadgets.readouts.flags import FLAGS, FlagEffect
from spokestream.models.training.recipes import RECIPES
from spokestream.models.training.training_settings import NETWORKS
from spokestream.pipelines.cli.options import add_options
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.selection import select
from spokestream.pipelines.settings import SETTINGS
from spokestream.settings import declarations
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.physics.tissue_models.registry import TISSUE_MODELS
from spokestream.simulator.simulate import SimulationSettings

ROOT = Path(__file__).parents[1]
NODE_SETTINGS = (ServerSettings, *SETTINGS.values())
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_table_of_simulation_options_is_the_one_in_the_code():
    rows = re.findall(
        r"^\| `--([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \| `(.*?)` \|",
        (ROOT / "docs/simulation.md").read_text(),
        flags=re.MULTILINE,
    )
    parser = argparse.ArgumentParser()
    add_options(parser, SimulationSettings)
    declared = declarations(SimulationSettings)
    assert [row[0].replace("-", "_") for row in rows] == list(declared)
    for (_, unit, default, meaning, example), setting in zip(rows, declared.values(), strict=True):
        assert (unit, setting.read(default) if default else None) == (setting.unit, setting.default)
        choices = f": {', '.join(setting.choices)}" if setting.choices else ""
        assert meaning == setting.meaning.rstrip(".") + choices + "."
        SimulationSettings(**vars(parser.parse_args(example.split())))


def test_the_table_of_settings_of_the_node_is_the_one_in_the_code():
    rows = re.findall(
        r"^\| `--([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$",
        (ROOT / "docs/deployment.md").read_text(),
        flags=re.MULTILINE,
    )
    declared = {name: d for kind in NODE_SETTINGS for name, d in declarations(kind).items()}
    assert [row[0].replace("-", "_") for row in rows] == list(declared)
    for (_, unit, default, choices, meaning, peer), setting in zip(rows, declared.values(), strict=True):
        assert (unit, choices, meaning) == (setting.unit, ", ".join(setting.choices), setting.meaning)
        assert (setting.read(default) if default else None) == setting.default
        assert (peer == "yes") == setting.peer


def test_the_table_of_tissue_models_is_the_one_in_the_code():
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \| (.*?) \| .*? \|$", (ROOT / "docs/tissue_models.md").read_text(), flags=re.MULTILINE
    )
    found = {
        name: ([] if pools == "one" else pools.split(", "), tuple(re.findall(r"`(\w+)`", names)))
        for name, pools, names in rows
    }
    assert found == {
        model.name: (sorted({p.pool for p in model.parameters if p.pool}, reverse=True), model.names)
        for model in TISSUE_MODELS.values()
    }


def test_the_table_of_networks_is_the_one_in_the_code():
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]*) \| ([\d,]+) \|", (ROOT / "docs/networks.md").read_text(), flags=re.MULTILINE
    )
    assert [name for name, *_ in rows] == list(RECIPES) == list(NETWORKS)
    for name, sees, parameters in rows:
        network = RECIPES[name].build(17 if name == "ours" else 175, 5)
        others = (m for m in network.modules() if not isinstance(m, nn.BatchNorm2d))
        count = sum(p.numel() for m in others for p in m.parameters(recurse=False))
        assert int(parameters.replace(",", "")) == count
        side = 54 if name == "fang2019" else 2 * network.border + 1
        assert sees.startswith(f"{side} × {side}" if side > 1 else "a fingerprint")


def test_configurations_are_accepted():
    texts = re.findall(r"<configuration.*?</configuration>", "\n".join(page.read_text() for page in PAGES))
    assert texts  # complete files are tested by test_code_blocks.py
    for text in texts:
        assert select(text, default="mrf_t1ff").settings.virtual_coils == 8


def table(first_line):
    """The rows of a table of the page of conventions."""
    page, start = (ROOT / "docs/conventions.md").read_text(), re.escape(first_line)
    _, _, *lines = re.search(rf"^{start}.*?(?=\n\n)", page, flags=re.DOTALL | re.MULTILINE).group().splitlines()
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def test_the_table_of_quantities_is_the_one_in_the_code():
    documented = table("| name |")
    declared = []
    for q in QUANTITIES.values():
        step = "fitted" if q.slope is None else f"{q.slope:g}"
        image = (str(q.series), step, f"{q.offset:g}") if q.series else ("–", "–", "–")
        bids = f"`{q.bids.suffix}` in {q.bids.unit}" if q.bids else "–"
        declared.append((f"`{q.name}`", q.title, q.unit, str(q.where or "tissue"), bids, *image))
    assert documented == declared


def test_the_tables_of_flags_and_counters_are_those_in_the_code():
    of_effect = {e: [f"`{n.removeprefix('ACQ_')}`" for n, effect in FLAGS.values() if effect is e] for e in FlagEffect}
    assert table("| effect | flags |") == [(e.value, ", ".join(names)) for e, names in of_effect.items()]
    assert table("| counter | effect |") == [(f"`{name}`", effect) for name, effect in COUNTERS.items()]
