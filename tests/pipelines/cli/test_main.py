import subprocess
import sys

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.pipelines.cli import commands
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.cli.options import named_values
from spokestream.pipelines.pace import scanner_pace
from spokestream.simulator.simulate import SimulationSettings


@pytest.mark.parametrize("command", [[], *([name] for name in commands.COMMANDS)])
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
    for expected in ("--dwell-us US", "Time between two samples. [2.0 us]", "--matrix", "[350 pixels]"):
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

    def replay(scan, output, pipeline, parameters, advance):
        got.update(pipeline=pipeline, parameters=parameters)
        raise ScanError("Enough.")

    monkeypatch.setattr("spokestream.pipelines.files.replay.replay", replay)
    assert main(["replay", "x.h5", "--coils", "4", "--datatype", "float32"]) == 1
    assert got["pipeline"] == "mrf_t1ff"
    assert got["parameters"] == {"coils": "4", "datatype": "float32"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replay", "/nowhere/scan.h5"], "error: There is no file /nowhere/scan.h5.\n"),
        (["simulate", "/nowhere/scan.h5", "--matrix", "16"], "error: There is no folder /nowhere"),
        (["simulate", "s.h5", "--noise", "-1"], "error: The setting noise must be from 0"),
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
    with ismrmrd.Dataset(tmp_path / "scan.h5", mode="w") as file:
        file.write_xml_header(b"<header/>")
        file.append_acquisition(ismrmrd.Acquisition.from_array(np.zeros((1, 4), np.complex64)))
    assert main(["send", str(tmp_path / "scan.h5"), "--host", "127.0.0.1", "--port", "1"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize("arguments", ["nonsense", "replay", "replay x --datatype uint8", "simulate x --matrix wide"])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    assert end.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_no_command_shows_the_commands(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(name in shown for name in commands.COMMANDS)


def test_a_defect_is_not_disguised_as_a_user_error(monkeypatch):
    def broken(arguments):
        raise RuntimeError("a defect")

    command = commands.COMMANDS["replay"]
    monkeypatch.setitem(commands.COMMANDS, "replay", commands.Command(command.help, command.configure, broken))
    with pytest.raises(RuntimeError, match="a defect"):
        main(["replay", "x.h5"])


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("spokestream ")


def test_named_values():
    assert named_values(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(ValueError, match="name=value"):
        named_values(["=1"])


def test_the_scanners_pace_follows_its_time_stamps():
    def at(ticks):
        return ismrmrd.Acquisition.from_array(np.zeros((1, 2), np.complex64), acquisition_time_stamp=ticks)

    pace = scanner_pace([at(100), at(104), at(104), at(4), at(4_000_000)], speed=2.0)
    assert pace == [0.005, 0.0, 0.0, 30.0, 0.0]
    with pytest.raises(ValueError, match="positive"):
        scanner_pace([at(1)], 0)


def test_the_doctor_says_which_check_failed(monkeypatch, capsys):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("spokestream.pipelines.cli.doctor._libraries", lambda: "all")
    monkeypatch.setattr("spokestream.pipelines.cli.doctor.simulate_scan", fail)
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert said.err == "error: A scan can be simulated? No: No space left on device\n"
    assert "✓ the libraries are there" in said.out
    assert "✗ a scan can be simulated" in said.out
