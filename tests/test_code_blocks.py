"""Every code block of the site is run, or read by the program that it is written for.

Blocks of text are what a program prints. What is not run is listed with its reason: `ONLY_PARSED`, `OTHER_PROGRAMS`.
"""

import ast
import io
import re
import runpy
import shlex
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from spokestream.models.training.recipes import RECIPES
from spokestream.pipelines.acceptance.vials_file import read_vials
from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.cli.main import COMMANDS, _parser, main
from spokestream.pipelines.console.settings import ConsoleSettings
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.replay import replay
from spokestream.pipelines.installation.gadgetron_xml import gadgetron_xml
from spokestream.pipelines.node.server import local_server
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.settings import SETTINGS, T1FFSettings, read_site_file
from spokestream.settings import layered
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.tissue_models.registry import TISSUE_MODELS
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

ROOT = Path(__file__).parents[1]
OF_THE_SITE = re.findall(r'"([\w/]+\.md)"', (ROOT / "docs/build_site.py").read_text())
PAGES = sorted({*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in OF_THE_SITE)})

SMALL = {
    "simulate": "--matrix 48 --coils 3 --slices 1",
    "dataset": "--matrix 48 --coils 3,3 --subjects 3 --slices 1 --scheduler synchronous",
    "train": "--epochs 1 --validation 1 --patch 16 --per-slice 1 --batch 2",
    "send": "--speed 50",
}
"""Options that make a command small enough to be run here; they come after those of the page and replace them."""

ONLY_PARSED = {
    r"spokestream serve": "runs until it is stopped (tests/pipelines/console/test_serving_a_page.py)",
    r"spokestream send .* --tls": "needs certificates (tests/pipelines/node/test_tls.py)",
    r"spokestream study": "takes minutes or hours (tests/pipelines/studies/)",
    r"spokestream dictionary": "the published grids take minutes (tests/pipelines/cli/commands/test_dictionary.py)",
    r"spokestream demo": "takes half a minute with the train of a brain",
    r"spokestream replay archive": "needs a folder of scans, and a scheduler; the program of the section runs the same",
    r"spokestream accept": "needs a scan of a phantom (tests/pipelines/cli/commands/test_accept.py)",
    r"spokestream (dataset|train|export|evaluate) (?!thighs |run thighs|test --with ours\.pt)":
        "the same commands are run from README.md",
}  # fmt: skip
"""Beginnings of lines that are read by the parser of the command line and not run, and why."""

FOR_READERS = {"ADDRESS", "COMMAND", "FILE", "FOLDER", "NAME", "PORT", "RUN", "DATA"}
"""Words that a reader replaces."""

OWN_NETWORK = {"two_layers": "ours"}
"""A network that a page adds to the code -> one that is there, with which the parser is asked."""


def blocks(page):
    """(heading, language, text) of every code block of a page."""
    found = []
    for section in re.split(r"^##+ ", page.read_text(), flags=re.MULTILINE):
        heading = section.partition("\n")[0]
        fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", section, flags=re.DOTALL | re.MULTILINE)
        found += [(heading, language, text) for language, text in fenced]
    return found


BLOCKS = [(page, *block) for page in PAGES for block in blocks(page)]


def of_language(*languages):
    """The blocks in one of the languages, as parameters (page, text)."""
    chosen = [(page, heading, text) for page, heading, language, text in BLOCKS if language in languages]
    assert chosen
    return [pytest.param(page, text, id=f"{page.relative_to(ROOT)}: {heading}") for page, heading, text in chosen]


def test_no_rule_is_left_over():
    shell = [" ".join(words) for _, _, language, text in BLOCKS if language == "sh" for (words, *_) in lines(text)]
    assert [start for start in ONLY_PARSED if not any(re.match(start, line) for line in shell)] == []
    assert {line.split()[0] for line in shell if "=" not in line.split()[0]} - {"spokestream"} <= OTHER_PROGRAMS.keys()
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
    """A folder with what programs and commands of the pages find: a scan, DICOM series of it, and a training set."""
    folder = tmp_path_factory.mktemp("small")
    simulate_scan(folder / "scan.h5", SimulationSettings(matrix=48, coils=3))
    replay(folder / "scan.h5", folder / "filed", formats=Formats(dicom=True))
    (folder / "filed/dicom").rename(folder / "examination")
    for name, first in (("thighs", "0"), ("test", "1000")):
        options = ["--first-seed", first, *SMALL["dataset"].split()]
        assert main(["dataset", str(folder / name), *options]) == 0
    return folder


@pytest.fixture
def here(small, tmp_path, monkeypatch):
    """The current folder, with links to what is in `small`."""
    for path in small.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def programs():
    """The Python blocks of a section form one program, which finds its TOML block as the file mine.toml."""
    sections = {}
    for page, heading, language, text in BLOCKS:
        if page.name != "api.md":  # outlines of the code itself
            sections.setdefault((page, heading), []).append((language, text))
    return [
        pytest.param(page, section, id=f"{page.relative_to(ROOT)}: {heading}")
        for (page, heading), section in sections.items()
        if "python" in dict(section)
    ]


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


@pytest.mark.parametrize(("page", "section"), programs())
def test_a_program_runs(page, section, here, registries):
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


def lines(text):
    """The commands of a block, each a list of the programs of its pipe, as words."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        pipe = [[]]
        for word in words:
            if word == ">":  # a file follows
                break
            if word == "|":
                pipe.append([])
            else:
                pipe[-1].append(word)
        if words:
            yield pipe


def parse(words):
    """Read the arguments of a command as the command line does; what a reader replaces is left alone."""
    assert words[0] in COMMANDS, f"there is no command {words[0]}"
    words = [OWN_NETWORK.get(word, word) for word in words]
    try:
        return _parser(words).parse_args(words)
    except SystemExit:
        pytest.fail(f"spokestream {shlex.join(words)} is refused")


def targets(words):
    assert all(f"\n{target}:" in (ROOT / "Makefile").read_text() for target in words)


def extras(words):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert words[0] == "install"
    for name in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(name.split(",")) <= known.keys()


def script(words):
    assert (ROOT / words[0]).exists()


def in_a_container(words):
    command = words[words.index("spokestream") + 1 :]  # behind the name of the image
    if command[:1] == ["spokestream"]:
        parse(command[1:])


OTHER_PROGRAMS = {
    "make": targets,
    "pip": extras,
    "python": script,
    "torchrun": lambda words: parse(words[words.index("spokestream.pipelines") + 1 :]),
    "docker": in_a_container,
    "openssl": lambda words: None,  # makes certificates, as tests/support/certificates.py does
    "dask": lambda words: None,  # an option of the cluster's own program
    **dict.fromkeys(
        ("siemens_to_ismrmrd", "ge2ismrmrd", "philips_to_ismrmrd", "bruker_to_ismrmrd"), lambda words: None
    ),  # converters of other people, which are not here
}
"""Program beside ours -> what is checked of the words behind it."""


@pytest.mark.parametrize(("page", "text"), of_language("sh"))
def test_commands_are_read(page, text):
    for pipe in lines(text):
        for words in pipe:
            program, *arguments = [word for word in words if not re.match(r"[A-Z_]+=", word)]
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
    for pipe in lines(text):
        for program, command, *arguments in pipe:
            assert program == "spokestream"
            if FOR_READERS.isdisjoint([command, *arguments]) and arguments:
                parse([command, *arguments])
            else:
                assert command in COMMANDS.keys() | FOR_READERS | {"--version"}


def run(pipe, monkeypatch, port):
    """Run the programs of a pipe one after the other, in this process, at small size."""
    passed = b""
    for _, command, *arguments in pipe:
        options = SMALL.get(command, "").split() + (["--port", str(port)] if command == "send" else [])
        with monkeypatch.context() as patched:
            written = io.TextIOWrapper(io.BytesIO(), write_through=True)
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(passed)))
            patched.setattr(sys, "stdout", written)
            code = main([command, *arguments, *options])
            passed = written.buffer.getvalue()
        assert code == 0, shlex.join([command, *arguments])


def runs(pipe):
    line = " | ".join(" ".join(words) for words in pipe)
    return pipe[0][0] == "spokestream" and not any(re.match(start, line) for start in ONLY_PARSED)


@pytest.mark.parametrize(
    ("page", "text"),
    [param for param in of_language("sh") if any(runs(pipe) for pipe in lines(param.values[1]))],
)
def test_commands_run(page, text, here, monkeypatch):
    with local_server() as port:
        for pipe in lines(text):
            if runs(pipe):
                run(pipe, monkeypatch, port)


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
