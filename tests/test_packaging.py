"""The wheel: what is in it, and that it can be installed beside packages that are called `models` or `pipelines`."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("simulator", "gadgets", "models", "pipelines")
KINDS = {".py", ".toml", ".pt", ".md", ".html", ".css", ".js"}
LARGE = {"spokestream/models/archives/balsiger2020.pt"}
"""Archives that are in the source and not in the wheel."""
OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

OTHER = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "other-software"
version = "1"
[tool.hatch.build.targets.wheel]
packages = ["models", "pipelines"]
"""


def run(*command, folder=ROOT):
    """The standard output of a command that sees neither the checkout nor the caller's Python settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected_files():
    """The files of the checkout that a user of the package needs, by their names in the wheel."""
    files = {f"spokestream/{path.relative_to(ROOT)}": path for name in FOLDERS for path in (ROOT / name).rglob("*.*")}
    top = {f"spokestream/{path.name}": path for path in (ROOT / "spokestream").iterdir() if not path.is_dir()}
    return {name for name, path in (files | top).items() if path.suffix in KINDS or path.name == "py.typed"}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder))
    (path,) = folder.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", *OFFLINE, "-w", str(folder), str(sdist))
    (path,) = folder.glob("*.whl")
    return path


def test_the_sdist_holds_every_file_once_and_no_links(sdist):
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    top = f"spokestream-{PROJECT['version']}/"
    names = {member.name.removeprefix(top) for member in members}
    folders = tuple(f"spokestream/{name}/" for name in FOLDERS)
    expected = {name.removeprefix("spokestream/") if name.startswith(folders) else name for name in expected_files()}
    assert expected <= names
    assert not [name for name in names if name.startswith(folders)]
    assert all(member.isfile() for member in members)


def test_the_wheel_holds_every_file_under_the_one_name(wheel):
    metadata = f"spokestream-{PROJECT['version']}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.startswith(metadata)]
    assert len(names) == len(set(names)) > 200
    assert set(names) == expected_files() - LARGE
    assert {name.split("/")[0] for name in names} == {"spokestream"}
    assert {Path(name).suffix for name in names} == {*KINDS, ".typed"}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The Python of a new environment with the wheel and with other software that has the same folder names.

    The dependencies are those of the environment that runs the tests. A plain line in a .pth file adds its folder of
    packages without reading the .pth files in it, so the editable install of the checkout remains invisible.
    """
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
    python = folder / "venv/bin/python"
    packages = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "dependencies.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    )
    other = folder / "other"
    for name in ("models", "pipelines"):
        (other / name).mkdir(parents=True)
        (other / name / "__init__.py").write_text("OWNER = 'other software'\n")
    (other / "pyproject.toml").write_text(OTHER)
    run(sys.executable, "-m", "pip", "--python", str(python), "install", *OFFLINE, str(wheel), str(other))
    return python


def test_both_are_imported_where_other_software_has_the_same_names(installed, tmp_path):
    said = run(
        str(installed),
        "-c",
        "import models, pipelines, spokestream.models.archives as ours, spokestream.pipelines.chains as chains\n"
        "print(models.OWNER, pipelines.OWNER, *ours.shipped_networks(), *chains.PIPELINES, sep=';')\n"
        "print(ours.__file__, chains.__file__, sep='\\n')",
        folder=tmp_path,
    ).splitlines()
    assert said[0].split(";") == [
        "other software", "other software", "ours-fisp-576", "ours", "mrf_t1ff",
        "mrf_t1ff_net", "mrf_t1t2", "mrf_t1t2_net",
    ]  # fmt: skip
    assert len(said) == 3
    assert all(Path(file).is_relative_to(installed.parents[1]) for file in said[1:])


def test_the_wheel_holds_no_large_archive_and_says_how_to_get_one(wheel, installed, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {Path(one.filename).name: one.file_size for one in archive.infolist() if one.filename.endswith(".pt")}
    assert {"ours.pt", "ours-fisp-576.pt"} <= sizes.keys()
    assert max(sizes.values()) <= 5_000_000
    said = run(
        str(installed),
        "-c",
        "from spokestream.errors import InputError\n"
        "from spokestream.models.archives import archive_path\n"
        "try:\n    archive_path('balsiger2020')\nexcept InputError as error:\n    print(error)",
        folder=tmp_path,
    )
    assert "copy models/archives/balsiger2020.pt of the source to " in said
    assert len(said.splitlines()) == 1


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_top_level_names_stay_those_of_the_other_software(installed, tmp_path):
    said = run(
        str(installed),
        "-c",
        "from importlib.metadata import packages_distributions as owners\n"
        "from importlib.util import find_spec\n"
        "print(*[owners().get(n) for n in ('models', 'pipelines', 'gadgets', 'simulator')], sep=';')\n"
        "print(find_spec('gadgets'), find_spec('simulator'))",
        folder=tmp_path,
    ).splitlines()
    assert said == ["['other-software'];['other-software'];None;None", "None None"]


def test_the_command_runs_from_the_new_environment(installed, tmp_path):
    said = run(str(installed.parent / "spokestream"), "--version", folder=tmp_path)
    assert said.split()[-1] == PROJECT["version"]
