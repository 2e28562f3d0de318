"""The import names are generic, so that this must be checked: they are ours, and nobody else's."""

import importlib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["simulator", "gadgets", "models", "pipelines"])
def test_the_four_packages_are_ours(name):
    module = importlib.import_module(name)
    assert Path(module.__file__).parent == ROOT / name
    assert set(packages_distributions().get(name, ["spokestream"])) == {"spokestream"}


def test_files_stay_rooms():
    long = {p.name: n for p in ROOT.glob("[gmps]*/**/*.py") if (n := len(p.read_text().splitlines())) > 320}
    assert long == {}
