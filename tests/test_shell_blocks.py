"""The commands in the code blocks of the site are run, section by section, at a small size.

How a command differs here from what is on the page stands in `SMALL` and `AS_RUN`. What is not run is in
`NOT_RUN`, with its reason.
"""

import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from certificates import make_certificates
from distributed import LocalCluster
from pages import BLOCKS, ROOT, commands, sections, words
from small_scan import gradient_spoiled

from spokestream.models.archives import archive_path
from spokestream.models.evaluation import report
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.replay import replay
from spokestream.simulator.physics.dictionaries.t1t2 import GRIDS, T1T2Grid
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

NOT_RUN = {
    "make": "its targets are the commands of this page and the whole test suite",
    "pip": "installs from the network; tests/test_packaging.py installs what is built",
    "python": "every benchmark takes minutes of an idle machine",
    "torchrun": "several processes train together in tests/models/training/test_processes.py",
    "docker": "needs a running Docker daemon",
    "openssl": "makes certificates, as tests/support/certificates.py does",
    "dask": "a worker of a cluster, which waits for its scheduler",
    "siemens_to_ismrmrd": "a converter of other people, and raw data of a scanner",
    "ge2ismrmrd": "a converter of other people, and raw data of a scanner",
    "philips_to_ismrmrd": "a converter of other people, and raw data of a scanner",
    "bruker_to_ismrmrd": "a converter of other people, and raw data of a scanner",
}
"""Program -> why its commands are read in tests/test_code_blocks.py, and not run."""

SMALL = {
    "simulate": "--matrix 48 --coils 3 --slices 1",
    "dataset": "--matrix 48 --coils 3,3 --subjects 2 --slices 1 --scheduler synchronous",
    "train": "--epochs 1 --validation 1 --patch 16 --per-slice 1 --batch 1",
    "train run/ atoms.h5": "--epochs 1 --batch 10",
    "evaluate": "--threads 1",
    "evaluate --suite": "--threads 1 --subjects 1 --matrix 48 --conditions default",
    "study": "--scale smoke --threads 1",
    "denoiser": "--subjects 2 --validation 1 --matrix 48 --epochs 1 --width 8 --blocks 1",
    "demo": "--matrix 48 --coils 3 --slices 1 --speed 50 --sequence short.toml",
    "send": "--speed 50 --port {port}",
    "serve": "--host 127.0.0.1 --port 0",
}
"""Beginning of a command -> options that make it small; they come after those of the page and replace them. The longest
beginning counts."""

AS_RUN = {
    r"archive -o out$": "archive -o out --scheduler {scheduler}",
    "-o out --workers 4": "-o out --workers 1",
    "-o out --scheduler tcp://head:8786": "-o elsewhere --scheduler {scheduler}",
    "--scheduler local": "--scheduler {scheduler}",
    "--http 9003": "--http 0",
    "/data/history": "history",
    "--device cuda": "--device cpu",
    "--host node.hospital.example": "--host localhost",
    "--network two_layers": "--network ours",
    "--sequence fisp-fang-576": "--sequence short.toml",
    "--sequence fisp-balsiger-720": "--sequence short.toml",
    " --with ours-fisp-576": "",
}
"""Words of a command on a page, as a regular expression -> words here.

Workers are few, ports are free, and files lie in a temporary folder. A network that the reader adds to the code is not
there. Trains of hundreds of readouts take a minute to simulate for brains; theirs is short here, and no network was
trained for it.
"""

SHORT_STUDIES = {
    "study balsiger2018": ("spokestream.pipelines.studies.balsiger2018.bench.SEQUENCE", "short.toml"),
}
"""Beginning of a command -> the train of the study, and the one here.

The smoke run of a study with a train of 720 readouts simulates them for half a minute. Its scans with this train are
made in tests/pipelines/studies/test_balsiger2018.py.
"""

OTHER_FILES = {
    "acceptance.md": {"scan.h5": "nist.h5"},
    "evaluation.md": {"test": "sets"},
}
"""Page -> the files on it that are others than on the other pages, and their names in `MAKE`."""

THINNED = 40
"""Every how many values of T1 and of T2 of a published grid are used."""


THIGH = SimulationSettings(matrix=48, coils=3)
NIST = replace(THIGH, anatomy="nist", slices=2, matrix=80, coils=4, noise=0.02, sequence="fisp-fang-576")


class Files:
    """What a reader of a page has: scans, DICOM series, sets, networks, an archive of scans.

    Each is made when the first section names it, because a process of the test suite runs only some of the sections.
    """

    def __init__(self, folder):
        self.folder = folder

    def __getitem__(self, name):
        if not (self.folder / name).exists():
            MAKE[name](self, self.folder / name)
        return self.folder / name


def examination(files, folder):
    replay(files["scan.h5"], files.folder / "filed", formats=Formats(dicom=True))
    (files.folder / "filed/dicom").rename(folder)


def in_a_folder(file, name):
    """How a folder with one file is made; the file lies beside the scan when that has been simulated."""

    def make(files, folder):
        folder.mkdir()
        shutil.copy(files["scan.h5"].with_name(file), folder / name)

    return make


def dataset(*options):
    def make(files, folder):
        assert main(["dataset", str(folder), *options, *SMALL["dataset"].split()]) == 0

    return make


def sets(files, folder):
    dataset("--first-seed", "1000", "--noise", "0.05,0.05")(files, folder / "quiet")
    (folder / "default").symlink_to(files["test"])


MAKE = {
    "scan.h5": lambda files, path: simulate_scan(path, THIGH),
    "nist.h5": lambda files, path: simulate_scan(path, NIST),
    "short.toml": lambda files, path: path.write_text(gradient_spoiled(96)),
    "examination": examination,
    "archive": in_a_folder("scan.h5", "one.h5"),
    "regions": in_a_folder("scan.truth.h5", "one.truth.h5"),
    "thighs": dataset(),
    "test": dataset("--first-seed", "1000"),
    "sets": sets,
    **dict.fromkeys(
        ("node.pem", "node.key", "hospital.pem", "scanner.pem", "scanner.key"),
        lambda files, path: make_certificates(files.folder),
    ),
    **dict.fromkeys(("ours.pt", "mine.pt"), lambda files, path: shutil.copy(archive_path("ours"), path)),
}
"""Name of a file or folder -> what makes it."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def scheduler():
    """The address of a scheduler with one worker."""
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def here(page, section, files, tmp_path, monkeypatch):
    """The current folder, with links to the files that the section names."""
    for name in named(section):
        (tmp_path / name).symlink_to(files[OTHER_FILES.get(page.name, {}).get(name, name)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(section):
    """The files and folders that the commands and the settings of a section name."""
    said = [shlex.join(program) for pipe in ours(section) for program in pipe]
    said += [here for begin, (_, here) in SHORT_STUDIES.items() if any(one.startswith(begin) for one in said)]
    text = "\n".join([*said, *(block for language, block in section if language == "toml")])
    return [name for name in MAKE if re.search(rf"(?<![\w.-]){re.escape(name)}\b", text)]


def as_run(command):
    """A command of a page as it is run here."""
    for on_page, here in AS_RUN.items():
        command = re.sub(on_page, here, command)
    return command


@contextmanager
def serving(arguments):
    """The node of a command in the background; gives its port when it is ready, and stops it at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "spokestream.pipelines", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        log = []
        try:
            for line in process.stderr:
                log.append(line)
                if found := re.search(r"Listening on .* port (\d+)", line):
                    yield int(found[1])
                    break
            else:
                pytest.fail(f"{shlex.join(arguments)} ended: {''.join(log)}")
        finally:
            process.send_signal(signal.SIGTERM)
            log += process.stderr
    assert process.returncode == 0, "".join(log)


def thinned(make):
    grid = make()
    kept = [np.isin(of, np.unique(of)[::THINNED]) for of in (grid.t1_ms, grid.t2_ms)]
    chosen = kept[0] & kept[1]
    return T1T2Grid(grid.name, grid.t1_ms[chosen], grid.t2_ms[chosen])


def run(pipe, monkeypatch):
    """Run the programs of a pipe one after the other in this process, each with what the one before has written."""
    passed = b""
    for arguments in pipe:
        with monkeypatch.context() as patched:
            written = io.TextIOWrapper(io.BytesIO(), write_through=True)
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(passed)))
            patched.setattr(sys, "stdout", written)
            patched.setattr(report, "condition_figures", lambda condition: {})  # of evaluations, tested elsewhere
            if arguments[0] == "dictionary":
                for name, make in GRIDS.items():
                    patched.setitem(GRIDS, name, lambda make=make: thinned(make))
            for begin, (train, here) in SHORT_STUDIES.items():
                if shlex.join(arguments).startswith(begin):
                    patched.setattr(train, str(Path(here).resolve()))
            code = main(arguments)
            passed = written.buffer.getvalue()
        assert code == 0, shlex.join(arguments)
        check_output(arguments)


def check_output(arguments):
    """What a command was asked to write is there, and a study shows its numbers beside those of the paper."""
    if arguments[0] == "study":
        text = Path(f"studies/{arguments[1]}-smoke/study.md").read_text()
        assert "paper" in text
        assert "nan" not in text
    if "-o" in arguments and (output := arguments[arguments.index("-o") + 1]) != "-":
        assert Path(output).exists(), shlex.join(arguments)


def ours(section):
    """The commands of our own program in a section, as they are run here."""
    for language, text in section:
        for command in commands(text) if language == "sh" else ():
            pipe = words(as_run(command))
            if pipe[0][0] not in NOT_RUN:
                yield [[*arguments, *options(arguments).split()] for _, *arguments in pipe]


def options(arguments):
    """The options that make a command small."""
    beginnings = [begin for begin in SMALL if shlex.join(arguments).startswith(f"{begin} ") or arguments == [begin]]
    return SMALL[max(beginnings, key=len)] if beginnings else ""


RUN = [param for param in sections("sh") if list(ours(param.values[1]))]


@pytest.mark.parametrize(("page", "section"), RUN)
def test_the_commands_of_a_section_run(page, section, here, scheduler, monkeypatch):
    for language, text in section:
        if language == "toml" and (name := re.match(r"# (\w+\.toml)\n", text)):
            Path(name[1]).write_text(text.replace("/data", str(here)))
    with ExitStack() as nodes:
        port = None
        for pipe in ours(section):
            (first, *_) = pipe
            if first[0] == "serve":
                port = nodes.enter_context(serving(first))
            else:
                run([[word.format(port=port, scheduler=scheduler) for word in one] for one in pipe], monkeypatch)


def test_no_entry_is_left_over():
    every = [command for page, _, language, text in BLOCKS if language == "sh" for command in commands(text)]
    programs = {pipe[0][0] for pipe in map(words, every)}
    assert programs - {"spokestream"} == NOT_RUN.keys()
    typed = [shlex.join(program[1:]) for command in every for program in words(command)]
    assert [
        begin
        for begin in [*SMALL, *SHORT_STUDIES]
        if not any(f"{command} ".startswith(f"{begin} ") for command in typed)
    ] == []
    assert OTHER_FILES.keys() <= {param.values[0].name for param in RUN}
    instead = {name for of in OTHER_FILES.values() for name in of.values()}
    assert {name for param in RUN for name in named(param.values[1])} | instead == MAKE.keys()
    assert [on_page for on_page in AS_RUN if not any(re.search(on_page, command) for command in every)] == []
