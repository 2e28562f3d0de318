"""What the documentation shows is what the code does."""

import argparse
import re
from pathlib import Path

import pytest
from torch import nn

from spokestream.gadgets.readouts.counters import COUNTERS
from spokestream.gadgets.readouts.flags import FLAGS, FlagEffect
from spokestream.models.training.recipes import RECIPES
from spokestream.models.training.training_settings import NETWORKS
from spokestream.pipelines.cli.main import COMMANDS
from spokestream.pipelines.cli.options import add_options
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.selection import select
from spokestream.pipelines.settings import SETTINGS, T1FFSettings, read_site_file
from spokestream.settings import declarations, layered
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

ROOT = Path(__file__).parents[1]
NODE_SETTINGS = (ServerSettings, *SETTINGS.values())
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def test_the_readme_s_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate_scan(Path("scan.h5"), SimulationSettings(matrix=32, coils=3))
    (code,) = blocks(ROOT / "README.md", "python")
    names = {}
    exec(code, names)
    assert names["water_t1"].shape == (1, 32, 32)
    assert names["maps"].units["t1h2o"] == "ms"


def test_the_simulation_page_s_python_runs():
    (code,) = blocks(ROOT / "docs/simulation.md", "python")
    names = {}
    exec(code, names)
    assert names["kspace"].shape == (8, 1400, 128)
    assert names["atoms"].shape == (16, 18, 200)


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


def test_the_site_s_file_that_the_deployment_page_shows_is_accepted(tmp_path):
    (site,) = blocks(ROOT / "docs/deployment.md", "toml")
    (tmp_path / "site.toml").write_text(site)
    values = read_site_file(tmp_path / "site.toml", *NODE_SETTINGS)
    assert layered(ServerSettings(), values).max_sessions == 2
    assert layered(T1FFSettings(), values).virtual_coils == 10


def shown(pattern):
    """What matches a pattern on the pages, as (page, match): at least one there is."""
    found = [(page, match) for page in PAGES for match in re.findall(pattern, page.read_text(), flags=re.MULTILINE)]
    assert found, f"no page shows {pattern}"
    return [pytest.param(page, match, id=f"{page.name}-{match}") for page, match in dict.fromkeys(found)]


@pytest.mark.parametrize(("page", "command"), shown(r"^spokestream (\w+)"))
def test_commands_exist(page, command):
    assert command in COMMANDS


@pytest.mark.parametrize(("page", "target"), shown(r"\]\((?!http)([^)#]+)"))
def test_links_lead_somewhere(page, target):
    assert (page.parent / target).exists()


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
    assert len(texts) >= 2
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
