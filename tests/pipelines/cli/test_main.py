import re
import subprocess
import sys
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import FileError, InputError, ScanError
from spokestream.pipelines.cli.main import COMMANDS, main
from spokestream.pipelines.cli.options import named_values
from spokestream.pipelines.client import ClientError
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.settings import (
    SETTINGS,
    T1FFNetSettings,
    T1FFSettings,
    T1T2NetSettings,
    T1T2Settings,
)
from spokestream.pipelines.wire import ProtocolError
from spokestream.simulator.simulate import SimulationSettings


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_imports_no_torch(command):
    script = f"""
import sys
from spokestream.pipelines.cli.main import main
try:
    main({[*command, "--help"]})
except SystemExit as end:
    assert end.code == 0, end.code
heavy = {{"torch", {'"finufft", "matplotlib", "scipy"' if not command else ""}}} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: spokestream" in done.stdout


def test_options_come_from_the_settings(capsys):
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for expected in ("--dwell-us US", "Time between two samples. [2.0 us]", "--slice-spacing-mm", "[20.0 mm]"):
        assert expected in text
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    assert "--datatype {uint16,int16,float32}" in " ".join(capsys.readouterr().out.split())


def test_only_what_was_given_reaches_the_settings(monkeypatch, tmp_path):
    got = {}
    monkeypatch.setattr(
        "spokestream.simulator.simulate.simulate_scan", lambda path, settings, progress: got.update(s=settings)
    )
    assert main(["simulate", str(tmp_path / "s.h5"), "--matrix", "64", "--trajectory", "angle"]) == 0
    assert got["s"] == SimulationSettings(matrix=64, trajectory="angle")


@pytest.fixture
def replayed(monkeypatch):
    """What reaches the replay."""
    got = {}

    def replay(scan, output, pipeline, parameters, show, formats):
        got.update(scan=scan, pipeline=pipeline, parameters=parameters, formats=formats)
        raise ScanError("Enough.")

    monkeypatch.setattr("spokestream.pipelines.files.replay.replay", replay)
    return got


def test_pipeline_settings_reach_a_replay_in_their_types(replayed):
    options = ["--virtual-coils", "4", "--max-missing", "0", "--datatype", "float32", "--archive", "a/b.pt"]
    assert main(["replay", "x.h5", *options]) == 1
    assert replayed["pipeline"] is None
    given = replayed["parameters"]
    assert given == {"virtual_coils": 4, "max_missing": 0.0, "datatype": "float32", "archive": Path("a/b.pt")}
    assert [type(value) for value in given.values()][:2] == [int, float]


def test_replay_and_send_speak_the_same_words(replayed, monkeypatch, tmp_path):
    words = ["--pipeline", "mrf_t1ff_net", "--set", "virtual_coils=4", "--set", "network=ours"]
    wanted = "mrf_t1ff_net", {"virtual_coils": "4", "network": "ours"}
    assert main(["replay", "x.h5", *words]) == 1
    assert (replayed["pipeline"], replayed["parameters"]) == wanted
    sent = []

    def send_scan(xml, items, host, port, config, parameters, pace, on_event, tls):
        sent.append((config, parameters))
        raise ScanError("Enough.")

    monkeypatch.setattr("spokestream.pipelines.client.send_scan", send_scan)
    assert main(["send", str(write_scan(tmp_path)), *words]) == 1
    assert sent == [wanted]


def test_a_setting_s_own_option_takes_precedence_over_set(replayed):
    main(["replay", "x.h5", "--virtual-coils", "4", "--set", "virtual_coils=5"])
    assert replayed["parameters"] == {"virtual_coils": 4}
    assert replayed["formats"] == Formats()
    main(["replay", "x.h5", "--bids"])
    assert replayed["formats"] == Formats(bids=True)
    main(["replay", "x.h5", "--dicom-from", "a"])
    assert replayed["formats"] == Formats(dicom=True, dicom_from=Path("a"))


@pytest.fixture
def served(monkeypatch):
    """The settings of the server and of the pipelines with which a server would run."""
    got = {}

    class Server:
        def __init__(self, settings, select, observers, workers, kept_bytes):
            assert kept_bytes == 0  # there is no page, whose images would need them
            got.update(server=settings, pipelines={name: select(name).settings for name in SETTINGS}, select=select)

        async def serve(self):
            got["ran"] = True
            return got.get("dropped", 0)

    monkeypatch.setattr("spokestream.pipelines.node.server.Server", Server)
    return got


def test_a_server_takes_its_settings_from_the_site_s_file_and_the_command_line(served, tmp_path):
    site = tmp_path / "site.toml"
    site.write_text('port = 1\nmax_sessions = 2\nvirtual_coils = 4\nthreads = 3\ndevice = "cpu"\n')
    assert (
        main(["serve", "--config", str(site), "--port", "5", "--threads", "6", "--grace-s", "1", "--record", "r"]) == 0
    )
    assert served["ran"]
    assert served["server"] == ServerSettings(port=5, max_sessions=2, grace_s=1.0, record=Path("r"))
    assert served["pipelines"] == {
        "mrf_t1ff": T1FFSettings(virtual_coils=4, threads=6, device="cpu"),
        "mrf_t1ff_net": T1FFNetSettings(virtual_coils=4, threads=6, device="cpu"),
        "mrf_t1t2": T1T2Settings(virtual_coils=4, threads=6, device="cpu"),
        "mrf_t1t2_net": T1T2NetSettings(virtual_coils=4, threads=6, device="cpu"),
    }


def test_the_operator_says_which_pipeline_scans_get_that_name_none(served, capsys):
    assert main(["serve", "--pipeline", "mrf_t1ff_net"]) == 0
    assert served["select"]("openrecon").name == "mrf_t1ff_net"
    assert served["select"]("mrf_t1ff").name == "mrf_t1ff"
    assert main(["serve", "--role", "gadgetron", "--pipeline", "mrf_t1t2"]) == 0
    assert served["select"]('<?xml version="1.0"?>').name == "mrf_t1t2"
    served.clear()
    assert main(["serve", "--pipeline", "liver"]) == 1
    assert "no pipeline 'liver'" in capsys.readouterr().err
    assert not served


def test_a_server_that_dropped_scans_exits_with_1(served):
    served["dropped"] = 2
    with pytest.raises(SystemExit) as exit_:
        main(["serve"])
    assert exit_.value.code == 1


def test_a_server_without_a_site_s_file_has_the_defaults(served):
    assert main(["serve"]) == 0
    assert served["server"] == ServerSettings()
    assert served["pipelines"] == {name: kind() for name, kind in SETTINGS.items()}


def test_a_wrong_site_s_file_ends_the_start(served, tmp_path, capsys):
    (tmp_path / "site.toml").write_text("ports = 1")
    assert main(["serve", "--config", str(tmp_path / "site.toml")]) == 1
    assert re.match(r"error: .*site\.toml: there is no setting 'ports'; known are host, ", capsys.readouterr().err)
    assert main(["serve", "--config", str(tmp_path / "gone.toml")]) == 1
    assert "gone.toml" in capsys.readouterr().err
    assert main(["serve", "--port", "65536"]) == 1
    assert capsys.readouterr().err.startswith("error: The setting port must be a whole number from 0 to 65535")
    assert not served


def write_scan(folder):
    with ismrmrd.Dataset(folder / "scan.h5", mode="w") as file:
        file.write_xml_header(b"<header/>")
        file.append_acquisition(ismrmrd.Acquisition.from_array(np.zeros((1, 4), np.complex64)))
    return folder / "scan.h5"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replay", "/nowhere/scan.h5"], "error: There is no file /nowhere/scan.h5.\n"),
        (["simulate", "/nowhere/scan.h5", "--matrix", "16"], "error: There is no folder /nowhere"),
        (["simulate", "s.h5", "--noise", "-1"], "error: The setting noise must be a number from 0"),
        (["send", "/nowhere/scan.h5"], "error: There is no file"),
        (["demo", "--set", "coils"], "error: Write --set name=value, not 'coils'.\n"),
    ],
)
def test_failures_are_one_sentence_and_exit_code_1(arguments, sentence, capsys):
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith(sentence)
    assert told.count("\n") == 1


def test_a_server_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert main(["send", str(write_scan(tmp_path)), "--host", "127.0.0.1", "--port", "1"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "nonsense", "replay", "replay x --datatype uint8", "simulate x --matrix wide", "simulate x --matr 64",
        "send x --config mrf_t1ff", "send x --pipe mrf_t1ff", "replay x --coils 4", "--vers",
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    assert end.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_no_command_shows_the_commands(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def fail_with(monkeypatch, error):
    def broken(arguments):
        raise error

    monkeypatch.setattr(COMMANDS["replay"], "run", broken)
    return main(["replay", "x.h5"])


@pytest.mark.parametrize("error", [RuntimeError("half\na sentence"), ValueError("half\na sentence."), KeyError("half")])
def test_a_defect_is_shown_as_one_with_its_traceback(error, monkeypatch, capsys):
    assert fail_with(monkeypatch, error) == 70
    *above, last = capsys.readouterr().err.splitlines()
    assert above[0] == "Traceback (most recent call last):"
    assert any("in broken" in line for line in above)
    what = f"{type(error).__name__}: {str(error).replace(chr(10), ' ').rstrip('.')}"
    assert last == f"This is a defect of spokestream: {what}. Please report it with the traceback above."


@pytest.mark.parametrize("kind", [InputError, FileError, ScanError, ClientError, ProtocolError, OSError])
def test_an_explained_error_is_a_sentence_without_a_traceback(kind, monkeypatch, capsys):
    assert fail_with(monkeypatch, kind("This\nis it.")) == 1
    assert capsys.readouterr().err == "error: This is it.\n"


def test_an_interrupted_command_says_so(monkeypatch, capsys):
    assert fail_with(monkeypatch, KeyboardInterrupt()) == 1
    assert capsys.readouterr().err == "error: interrupted\n"


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("spokestream ")


def test_named_values():
    assert named_values(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(InputError, match="name=value"):
        named_values(["=1"])


@pytest.fixture
def failing_simulation(monkeypatch):
    def make(error):
        def fail(*_):
            raise error

        monkeypatch.setattr("spokestream.pipelines.cli.commands.doctor._libraries", lambda: "all")
        monkeypatch.setattr("spokestream.simulator.simulate.simulate_scan", fail)

    return make


def test_the_doctor_says_which_check_failed(failing_simulation, capsys):
    failing_simulation(OSError("No space left on device"))
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert said.err == "error: A scan can be simulated? No: No space left on device\n"
    assert "✓ the libraries are there" in said.out
    assert "✗ a scan can be simulated" in said.out


def test_the_doctor_does_not_explain_a_defect_away(failing_simulation, capsys):
    failing_simulation(KeyError("matrix"))
    assert main(["doctor"]) == 70
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("This is a defect of spokestream: KeyError: 'matrix'.")
    assert "✗ a scan can be simulated" in said.out
