"""The packages for a console: what they contain, and that their scripts do what docker leaves to them."""

import base64
import configparser
import json
import os
import re
import subprocess
import zipfile
from datetime import date

import pytest

from spokestream import __version__
from spokestream.errors import InputError
from spokestream.pipelines.cli.main import COMMANDS, _parser, main
from spokestream.pipelines.installation.fire_bundle import FOLDER_IN_IMAGE, START, write_fire_bundle
from spokestream.pipelines.installation.label_rules import label_faults
from spokestream.pipelines.installation.openrecon_label import LABEL_NAME, PORT
from spokestream.pipelines.installation.openrecon_package import IMAGE, write_openrecon_package
from spokestream.pipelines.node.client_texts import read_parameters
from spokestream.pipelines.selection import select

MADE = date(2026, 11, 26)
DOCKER = """#!/bin/sh
# writes down what it is asked for; what it saves or exports is made up
echo "$@" >> {log}
case $1 in
    save) echo image > "$3" ;;
    create) echo 0123abcd ;;
    export) mkdir -p {log}.root/opt && echo maps > {log}.root/opt/file && tar -c -C {log}.root . ;;
esac
"""
MKE2FS = """#!/bin/sh
# the file system of a folder: the list of its files
while [ $# -gt 2 ]; do [ "$1" = -d ] && folder=$2; shift; done
(cd "$folder" && find . -type f) > "$1"
"""


@pytest.fixture
def machine(tmp_path):
    """Runs a script on a machine whose docker and mke2fs are these; returns what docker was asked for."""
    tools = tmp_path / "tools"
    tools.mkdir()
    log = tmp_path / "asked"
    for name, text in {"docker": DOCKER.format(log=log), "mke2fs": MKE2FS}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)

    def run(script, *arguments):
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
        command = ["sh", str(script), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        return log.read_text().splitlines()

    return run


def test_the_openrecon_folder_holds_label_and_manual(tmp_path):
    name = write_openrecon_package(tmp_path / "o", "Clinic", 4096, True, MADE)
    assert name == f"OpenRecon_Clinic_spokestream_V{__version__}"
    files = {path.name for path in (tmp_path / "o").iterdir()}
    assert files == {"label.json", "Dockerfile", ".dockerignore", "pack.sh", f"{name}.pdf"}
    label = json.loads((tmp_path / "o/label.json").read_text())
    assert label_faults(label) == []
    assert (label["general"]["vendor"], label["reconstruction"]["min_required_memory"]) == ("Clinic", 4096)
    assert label["reconstruction"]["can_use_gpu"] is True
    first, second = (tmp_path / "o/Dockerfile").read_text().splitlines()
    assert first == f"FROM {IMAGE}"
    key, encoded = re.fullmatch(r'LABEL "(.*?)"="(.*)"', second).groups()
    assert key == LABEL_NAME
    assert json.loads(base64.b64decode(encoded)) == label
    assert (tmp_path / f"o/{name}.pdf").read_bytes().startswith(b"%PDF-")


def test_packing_makes_the_zip_of_image_and_manual(tmp_path, machine):
    name = write_openrecon_package(tmp_path / "o", "Clinic", 4096, False, MADE)
    (tmp_path / "source").mkdir()
    asked = machine(tmp_path / "o/pack.sh", "source")
    assert asked == [
        f"build --platform linux/amd64 --target openrecon -t {IMAGE} {tmp_path / 'source'}",
        f"build --platform linux/amd64 -t openrecon_clinic_spokestream:v{__version__} .",
        f"save -o {name}.tar openrecon_clinic_spokestream:v{__version__}",
    ]
    with zipfile.ZipFile(tmp_path / f"o/{name}.zip") as archive:
        assert archive.namelist() == [f"{name}.tar", f"{name}.pdf"]
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_DEFLATED}


def test_the_manual_is_the_same_for_the_same_label(tmp_path):
    first, second = (tmp_path / folder for folder in "ab")
    name = write_openrecon_package(first, "Clinic", 4096, False, MADE)
    write_openrecon_package(second, "Clinic", 4096, False, MADE)
    assert (first / f"{name}.pdf").read_bytes() == (second / f"{name}.pdf").read_bytes()


def test_the_fire_bundle_starts_the_node_on_the_port_that_fire_is_told(tmp_path):
    name = write_fire_bundle(tmp_path / "f", "Clinic", IMAGE)
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(tmp_path / "f/fire.ini")
    assert ini["OpenRecon"]["port"] == str(PORT)
    chroot = ini["chroot"]
    assert chroot["chroot_image_name"] == f"{name}.img"
    assert chroot["chroot_command"].split()[0] == f"{FOLDER_IN_IMAGE}/{START}"
    assert chroot["chroot_search_string"] in "spokestream serve"
    command = re.search(r"^spokestream (.*?) \"\$@\"", (tmp_path / f"f/{START}").read_text(), flags=re.MULTILINE)[1]
    parsed = _parser(command.split()).parse_args(command.split())
    assert (parsed.command, parsed.host, parsed.port) == ("serve", "0.0.0.0", PORT)
    assert (tmp_path / f"f/{START}").stat().st_mode & 0o111


def test_the_start_script_returns_and_the_log_holds_what_the_node_says(tmp_path):
    write_fire_bundle(tmp_path / "f", "Clinic", IMAGE)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "spokestream").write_text('#!/bin/sh\necho "$@"\n')
    (tools / "spokestream").chmod(0o755)
    script = (tmp_path / f"f/{START}").read_text().replace("/opt/spokestream/bin", str(tools)) + "wait\n"
    log = tmp_path / "logs/node.log"
    subprocess.run(["sh", "-c", script, "start", str(log), "--memory", "4GiB"], check=True)
    assert log.read_text() == f"serve --host 0.0.0.0 --port {PORT} --memory 4GiB\n"


def test_the_parameters_of_fire_are_what_the_node_does_anyway(tmp_path):
    write_fire_bundle(tmp_path, "Clinic", IMAGE)
    asked = read_parameters((tmp_path / "spokestream.json").read_text())
    assert select("").as_console_asks(asked) == (select("auto"), [])


def test_the_chroot_image_is_the_file_system_of_the_container(tmp_path, machine):
    name = write_fire_bundle(tmp_path / "f", "Clinic", IMAGE)
    asked = machine(tmp_path / "f/make-chroot.sh")
    assert asked == [f"create {IMAGE}", "export 0123abcd", "rm 0123abcd"]
    assert (tmp_path / f"f/{name}.img").read_text() == "./opt/file\n"
    assert not (tmp_path / "f/root").exists()


@pytest.mark.parametrize("system", ["openrecon", "fire"])
def test_the_command_prints_the_one_that_does_the_rest(system, tmp_path, capsys):
    assert "package" in COMMANDS
    assert main(["package", system, "-o", str(tmp_path / "p"), "--vendor", "Clinic"]) == 0
    said, command = capsys.readouterr().out.splitlines()
    assert f"_Clinic_spokestream_V{__version__}." in said
    assert (tmp_path / "p" / command.split()[1].rpartition("/")[2]).exists()


@pytest.mark.parametrize("vendor", ["", "My Clinic", "../x", "-x"])
def test_a_vendor_is_a_part_of_a_file_name(vendor, tmp_path):
    with pytest.raises(InputError, match="becomes part of a file name"):
        write_openrecon_package(tmp_path, vendor, 4096, False, MADE)


def test_a_label_that_breaks_a_rule_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"min_required_memory must be a whole number from 0"):
        write_openrecon_package(tmp_path / "o", "Clinic", -1, False, MADE)
    assert not (tmp_path / "o").exists()
