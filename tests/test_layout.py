"""The layout of the repository: one import name, files of one idea."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("simulator", "gadgets", "models", "pipelines")


@pytest.mark.parametrize("name", FOLDERS)
def test_the_folders_are_imported_under_the_one_name(name):
    module = importlib.import_module(f"spokestream.{name}")
    assert Path(module.__file__).resolve().parent == ROOT / name


def test_no_file_is_longer_than_320_lines():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert {path.name: n for path in files if (n := len(path.read_text().splitlines())) > 320} == {}
