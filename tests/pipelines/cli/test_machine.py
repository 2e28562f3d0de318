"""What the doctor says of the machine."""

import os
import platform
import socket
from pathlib import Path

import pytest

from spokestream.pipelines.cli import machine
from spokestream.pipelines.cli.machine import machine_facts


def test_every_fact_is_one_line():
    facts = machine_facts()
    assert list(facts) == ["spokestream", "Python", "processor", "threads", "GPU", "port", "folders", "packages"]
    assert all(text and "\n" not in text for text in facts.values())
    assert facts["processor"].startswith(f"{os.cpu_count()} × ")
    assert "torch uses" in facts["threads"]
    assert "gadgetron " in facts["packages"]


def test_limits_of_threads_and_missing_packages_are_named(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(machine, "OPTIONAL", ("gadgetron", "no-such-package"))
    facts = machine_facts()
    assert "OMP_NUM_THREADS=3" in facts["threads"]
    assert facts["packages"].endswith(", no-such-package not installed")


def test_a_port_that_is_taken_is_told_with_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = machine_facts(port)["port"]
        assert said == f"{port} cannot be used (address already in use); give `serve` another one with --port"
    assert machine_facts(port)["port"] == f"{port} is free"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the features of another processor have other names")
def test_features_are_those_of_the_processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next(line for line in lines if line.startswith("flags")).split()
    said = machine_facts()["processor"].split(", ")[-1].split()
    assert [feature in said for feature in ("sse4_2", "avx2")] == [feature in flags for feature in ("sse4_2", "avx2")]
