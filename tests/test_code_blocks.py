"""The code blocks of the site: programs are run, commands and files are read by what they are written for.

The commands are run in tests/test_shell_blocks.py. Blocks of text are what a program prints.
"""

import ast
import re
import runpy
import shlex
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from pages import BLOCKS, PAGES, ROOT, commands, link_all, of_language, sections, words

from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set
from spokestream.models.training.recipes import RECIPES
from spokestream.pipelines.acceptance.layouts.vials_file import read_vials
from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.cli.main import COMMANDS, _parser
from spokestream.pipelines.console.settings import ConsoleSettings
from spokestream.pipelines.installation.gadgetron_xml import gadgetron_xml
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.settings import SETTINGS, T1FFSettings, read_site_file
from spokestream.settings import layered
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.tissue_models.registry import TISSUE_MODELS
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

FOR_READERS = {"ADDRESS", "COMMAND", "FILE", "FOLDER", "NAME", "PORT", "RUN", "DATA"}
"""Words that a reader replaces."""

OWN_NETWORK = {"two_layers": "ours"}
"""A network that a page adds to the code -> one that is there, with which the parser is asked."""


def test_no_check_is_left_over():
    assert CHECKS.keys() <= {page.name for page, *_ in BLOCKS}


def test_every_block_is_in_a_language_that_is_tested_here():
    assert len(BLOCKS) > 60
    unknown = {(page.name, language) for page, _, language, _ in BLOCKS}
    assert {x for x in unknown if x[1] not in {"python", "sh", "toml", "xml", "text"}} == set()


# --- Programs


@pytest.fixture
def registries():
    """What a program adds is taken away again."""
    kept = [(registry, dict(registry)) for registry in (QUANTITIES, TISSUE_MODELS, RECIPES, PIPELINES)]
    yield
    for registry, entries in kept:
        registry.clear()
        registry.update(entries)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with what the programs of the pages find: a scan and a training set."""
    folder = tmp_path_factory.mktemp("small")
    simulate_scan(folder / "scan.h5", SimulationSettings(matrix=48, coils=3))
    settings = DataSettings(matrix=48, coils=(3, 3), subjects=3, slices=1)
    make_training_set(folder / "thighs", settings, "synchronous")
    return folder


@pytest.fixture
def here(small, tmp_path, monkeypatch):
    """The current folder, with links to what is in `small`."""
    link_all(small, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def maps_have_units(names):
    assert names["water_t1"].shape == (1, 48, 48)
    assert names["maps"].units["t1h2o"] == "ms"


def shapes_are_right(names):
    assert names["kspace"].shape == (8, 1400, 128)
    assert names["atoms"].shape == (16, 18, 200)


def subjects_are_split(names):
    assert (len(names["training"]), len(names["validation"])) == (2, 1)
    assert names["item"]["fingerprints"].shape[1:] == names["item"]["ff"].shape


def the_disc_is_found(names):
    found, truth = names["images"], names["contrast"] * names["disc"]
    assert len(names["costs"]) == 50
    assert names["costs"][-1] < names["costs"][0] / 100
    norms = torch.linalg.vector_norm(found) * torch.linalg.vector_norm(truth)
    assert torch.vdot(truth.flatten() + 0j, found.flatten()).real > 0.99 * norms


CHECKS = {
    "README.md": maps_have_units,
    "simulation.md": shapes_are_right,
    "training.md": subjects_are_split,
    "restoration.md": the_disc_is_found,
}
"""Page whose program has no asserts of its own -> what holds when it has run."""

FEWER = {"range(90)": "range(2)", "range(90, 100)": "range(2, 3)"}
"""Subjects of the training set of a program -> those that are there."""


@pytest.mark.parametrize(("page", "section"), sections("python"))
def test_a_program_runs(page, section, here, registries):
    """The Python blocks of a section form one program, which finds its TOML block as the file mine.toml."""
    for language, text in section:
        if language == "toml":
            Path("mine.toml").write_text(text)
    text = "\n".join(text for language, text in section if language == "python")
    for all_subjects, these in FEWER.items():
        text = text.replace(all_subjects, these)
    program = Path("program.py")  # a file, because TorchScript reads the source of what it compiles
    program.write_text(text)
    names = runpy.run_path(str(program))
    if page.name in CHECKS:
        CHECKS[page.name](names)
    else:
        assert "\nassert " in text


def test_the_page_of_names_is_python():
    for page, _, language, text in BLOCKS:
        if page.name == "api.md":
            assert language == "python"
            ast.parse(text)


# --- Commands


def parse(arguments):
    """Read the arguments of a command as the command line does; what a reader replaces is left alone."""
    assert arguments[0] in COMMANDS, f"there is no command {arguments[0]}"
    arguments = [OWN_NETWORK.get(word, word) for word in arguments]
    try:
        return _parser(arguments).parse_args(arguments)
    except SystemExit:
        pytest.fail(f"spokestream {shlex.join(arguments)} is refused")


def targets(names):
    assert all(f"\n{name}:" in (ROOT / "Makefile").read_text() for name in names)


def extras(arguments):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert arguments[0] == "install"
    for name in re.findall(r"\[([\w,]+)\]", " ".join(arguments)):
        assert set(name.split(",")) <= known.keys()


def script(arguments):
    assert (ROOT / arguments[0]).exists()


def in_a_container(arguments):
    command = arguments[arguments.index("spokestream") + 1 :]  # behind the name of the image
    if command[:1] == ["spokestream"]:
        parse(command[1:])


OTHER_PROGRAMS = {
    "make": targets,
    "pip": extras,
    "python": script,
    "torchrun": lambda given: parse(given[given.index("spokestream.pipelines") + 1 :]),
    "docker": in_a_container,
    "openssl": lambda given: None,  # makes certificates, as tests/support/certificates.py does
    "dask": lambda given: None,  # an option of the cluster's own program
    **dict.fromkeys(
        ("siemens_to_ismrmrd", "ge2ismrmrd", "philips_to_ismrmrd", "bruker_to_ismrmrd"), lambda given: None
    ),  # converters of other people, which are not here
}
"""Program beside ours -> what is checked of the words behind it."""


@pytest.mark.parametrize(("page", "text"), of_language("sh"))
def test_commands_are_read(page, text):
    for command in commands(text):
        for program, *arguments in words(command):
            if program == "spokestream":
                parse(arguments)
            else:
                OTHER_PROGRAMS[program](arguments)


def in_sentences():
    """The commands that stand in the sentences and tables of the pages."""
    found = {}
    for page in PAGES:
        prose = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for text in re.findall(r"`(spokestream [^`]+)`", prose):
            found.setdefault(text.replace("\\|", "|").replace("\n", " "), page)
    assert found
    return [pytest.param(text, id=f"{page.relative_to(ROOT)}: {text}") for text, page in found.items()]


@pytest.mark.parametrize("text", in_sentences())
def test_commands_in_sentences_are_read(text):
    for line in commands(text):
        for program, command, *arguments in words(line):
            assert program == "spokestream"
            if FOR_READERS.isdisjoint([command, *arguments]) and arguments:
                parse([command, *arguments])
            else:
                assert command in COMMANDS.keys() | FOR_READERS | {"--version"}


# --- Files


def is_a_sequence(path):
    assert len(load_sequence(str(path))) > 100


def is_a_site_s_file(path):
    values = read_site_file(path, ServerSettings, ConsoleSettings, *SETTINGS.values())
    assert values.keys() == tomllib.loads(path.read_text()).keys()
    for kind in (ServerSettings, ConsoleSettings, T1FFSettings):
        layered(kind(), values)


def is_a_phantom(path):
    assert [vial.name for vial in read_vials(path).vials] == ["A", "B", "C"]


READERS = {"site.toml": is_a_site_s_file, "vials.toml": is_a_phantom}
"""Name of a TOML file, in the comment with which its block begins -> its reader; without a name it is a sequence."""


@pytest.mark.parametrize(("page", "text"), of_language("toml"))
def test_a_toml_file_is_read(page, text, tmp_path):
    name = re.match(r"# (\w+\.toml)\n", text)
    path = tmp_path / (name[1] if name else "mine.toml")
    path.write_text(text)
    READERS[name[1]](path) if name else is_a_sequence(path)


@pytest.mark.parametrize(("page", "text"), of_language("xml"))
def test_a_configuration_of_gadgetron_is_the_one_that_is_printed(page, text):
    external = ElementTree.fromstring(text.encode()).find("stream/external")
    form = "connect" if external.find("execute") is None else "execute"
    assert text == gadgetron_xml(external.find("configuration").get("pipeline"), form)
