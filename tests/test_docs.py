"""What the documentation shows is what the code does."""

import argparse
import re
from dataclasses import fields
from pathlib import Path

import pytest
from torch import nn

from spokestream.models.training.recipes import RECIPES
from spokestream.models.training.training_settings import NETWORKS
from spokestream.pipelines.chains import select
from spokestream.pipelines.cli.commands import COMMANDS
from spokestream.pipelines.cli.options import add_options
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def test_the_readme_s_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate_scan(Path("scan.h5"), SimulationSettings(matrix=32, coils=3))
    (code,) = blocks(ROOT / "README.md", "python")
    names = {}
    exec(code, names)
    assert len(names["images"]) == 8


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
    declared = {f.name.replace("_", "-"): f for f in fields(SimulationSettings)}
    assert [row[0] for row in rows] == list(declared)
    for name, unit, default, meaning, example in rows:
        field = declared[name]
        given = vars(parser.parse_args([f"--{name}={default}"]))[field.name]
        assert (unit, given) == (field.metadata["unit"], field.default)
        assert meaning.startswith(field.metadata["help"].rstrip("."))
        SimulationSettings(**vars(parser.parse_args(example.split())))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    for command in re.findall(r"^spokestream (\w+)", "\n".join(blocks(page, "sh")), flags=re.MULTILINE):
        assert command in COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


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
    shown = re.findall(r"<configuration.*?</configuration>", "\n".join(page.read_text() for page in PAGES))
    assert len(shown) >= 2
    for text in shown:
        assert select(text, default="mrf_t1ff").settings.coils == 8


def test_the_table_of_quantities_is_the_one_in_the_code():
    page = (ROOT / "docs/conventions.md").read_text()
    _, _, *lines = re.search(r"^\| name \|.*?(?=\n\n)", page, flags=re.DOTALL | re.MULTILINE).group().splitlines()
    documented = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    declared = []
    for q in QUANTITIES.values():
        step = "fitted" if q.slope is None else f"{q.slope:g}"
        image = (str(q.series), step, f"{q.offset:g}") if q.series else ("–", "–", "–")
        bids = f"`{q.bids.suffix}` in {q.bids.unit}" if q.bids else "–"
        declared.append((f"`{q.name}`", q.title, q.unit, str(q.where or "tissue"), bids, *image))
    assert documented == declared
