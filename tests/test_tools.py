"""The habits that tools keep: pinned versions, files fit to be committed, one import name, one version."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


def name_of(requirement):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def test_constraints_are_names_and_versions_in_order():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [re.fullmatch(r"([a-z0-9-]+)==[0-9][0-9a-z.]*", line) for line in lines]
    assert all(pinned), [line for line, match in zip(lines, pinned, strict=True) if not match]
    names = [match[1] for match in pinned]
    assert names == sorted(set(names))


def test_every_dependency_of_the_environment_is_pinned():
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    included = re.search(r"\[(.*)\]", next(text for text in EXTRAS["dev"] if text.startswith("spokestream[")))[1]
    extras = [text for name in ["dev", *included.split(",")] for text in EXTRAS[name]]
    wanted = {name_of(text) for text in [*PYPROJECT["project"]["dependencies"], *extras]} - {"spokestream"}
    assert {"torch", "pypulseq", "dask", "pytest", "hatchling"} <= wanted
    assert wanted <= pinned, "run `make constraints`"
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()


def test_dependencies_of_dependencies_are_followed_with_their_extras():
    written = runpy.run_path(str(ROOT / "tools/constraints.py"))["constraints"]()
    pinned = {line.partition("==")[0] for line in written.splitlines()}
    assert {"sympy", "mpmath"} <= pinned  # torch needs the first, which needs the second
    assert "tornado" in pinned  # dask[distributed] needs distributed, which needs it
    assert not {"pip", "spokestream", "pybind11"} & pinned


@pytest.mark.parametrize("folder", ["gadgets", "models", "pipelines", "simulator"])
def test_ruff_refuses_the_folders_as_top_level_names(folder, tmp_path):
    code = f"import spokestream.{folder}\nimport {folder}\nfrom {folder}.other import thing\n"
    command = [sys.executable, "-m", "ruff", "check", "--select=TID251", "--output-format=concise", "-"]
    done = subprocess.run(
        [*command, "--config", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)],
        input=code, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert [line.split(":")[1] for line in done.stdout.splitlines() if "TID251" in line] == ["2", "3"]
    assert f"Import spokestream.{folder}." in done.stdout


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("good.toml", b"a = 1\n", None),
        ("empty.py", b"", None),
        ("picture.png", b"\x89PNG", None),
        ("network.pt", bytes(600_000), None),
        ("long.py", b"#" * 600_000 + b"\n", "has 600,001 bytes, more than 500,000"),
        ("picture.png", bytes(600_000), "has 600,000 bytes"),
        ("bad.toml", b"a = \n", "is not valid TOML: Invalid value"),
        ("latin.toml", b'a = "\xe9"\n', "is not valid TOML: 'utf-8' codec"),
        ("open.py", b"a = 1", "does not end with exactly one newline"),
        ("loose.py", b"a = 1\n\n", "does not end with exactly one newline"),
    ],
)
def test_files_are_checked_before_they_are_committed(name, data, problem, tmp_path):
    (tmp_path / name).write_bytes(data)
    tool = ROOT / "tools/check_files.py"
    done = subprocess.run([sys.executable, tool, name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == (problem is not None), done.stderr
    assert done.stdout.startswith(f"{name} {problem}" if problem else "")
    assert done.stdout.count("\n") == (problem is not None)


def test_hooks_run_the_tools_of_the_gate():
    # all but the suite and its coverage, which take minutes
    gate = re.findall(
        r"\$\(BIN\)/([\w-]+(?: (?:format|check))?)", (ROOT / "Makefile").read_text().partition("\nbench:")[0]
    )
    hooks = re.findall(
        r"entry: \.venv/bin/([\w-]+(?: (?:format|check))?)", (ROOT / ".pre-commit-config.yaml").read_text()
    )
    assert [tool for tool in gate if tool not in ("spokestream", "python", "coverage")] == hooks[1:]
    assert hooks[0] == "python"


def test_the_citation_is_of_this_version():
    (cited,) = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE)
    assert cited == PYPROJECT["project"]["version"]
