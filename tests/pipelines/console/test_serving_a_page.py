"""The command `serve` with its page: a node in a process of its own, and real scans."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.client import send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

ROOT = Path(__file__).parents[3]


@contextmanager
def node(*options):
    """Ports of the node and of its page, and the lines of the log; SIGTERM ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spokestream.pipelines", "serve", "--port", "0", "--http", "0", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines, ports = [], {}
    with process:
        try:
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"The page is on .*:(\d+)", line):
                    ports["page"] = int(found[1])
                if found := re.search(r"Listening on .* port (\d+)", line):
                    ports["scans"] = int(found[1])
                    break
            assert ports.keys() == {"page", "scans"}, "".join(lines)
            yield ports["scans"], f"http://127.0.0.1:{ports['page']}", lines
        finally:
            process.send_signal(signal.SIGTERM)
            lines += process.stderr
    assert process.returncode == 0, "".join(lines)


def body(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    simulate_scan(path, SimulationSettings(matrix=33, coils=2, seed=1))
    return read_scan(path)


def test_a_scan_is_on_the_page_and_still_after_a_restart_with_a_token(scan, tmp_path):
    options = ("--history", str(tmp_path / "history"), "--record", str(tmp_path / "recordings"), "--log", "json")
    with node(*options) as (port, page, lines):
        assert json.loads(body(f"{page}/readyz")) == {"listening": True, "recordings": True}
        reply = send_scan(scan.xml, scan, port=port, parameters={"provisional": 128})
        images = reply.images
        counted = body(f"{page}/metrics").decode()
    assert 'spokestream_scans_total{outcome="finished"} 1.0' in counted
    assert f"spokestream_readouts_total {float(scan.n_acquisitions)}" in counted
    assert f"spokestream_images_total {float(len(images))}" in counted
    assert re.search(r"^spokestream_foreground_voxels_total [1-9]", counted, flags=re.MULTILINE)
    assert "spokestream_recordings 1.0" in counted
    told = [json.loads(line) for line in lines]
    (ended,) = [line for line in told if line.get("event") == "scan_ended"]
    assert (ended["outcome"], ended["images"], ended["readouts"]) == ("finished", len(images), scan.n_acquisitions)
    assert sum(line.get("event") == "image_sent" for line in told) == len(images) + len(reply.provisional)
    assert {line["session"] for line in told if "event" in line} == {ended["session"]}

    (tmp_path / "site.toml").write_text('http_token = "a-secret-of-the-site"\n')
    with node(*options, "--config", str(tmp_path / "site.toml")) as (_, page, _):
        assert body(f"{page}/healthz") == b"ok\n"
        with pytest.raises(urllib.error.HTTPError) as refused:
            body(f"{page}/api/scans")
        assert refused.value.code == 401
        refused.value.close()

        def told_the_token(path):
            return body(urllib.request.Request(page + path, headers={"Authorization": "Bearer a-secret-of-the-site"}))

        (record,) = json.loads(told_the_token("/api/scans"))
        assert (record["outcome"], record["pipeline"]) == ("finished", "mrf_t1ff")
        assert record["id"].endswith(ended["session"])
        for image in images:
            name, _, values = stored_to_physical(image)
            found = np.frombuffer(told_the_token(f"/api/scans/{record['id']}/maps/{name}/0"), "<f4").reshape(
                values.shape
            )
            valid = np.isfinite(found)
            assert valid.any()
            np.testing.assert_array_equal(found[valid], values[valid])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--http", "0", "--http-host", "0.0.0.0"], "set http_token"),
        (["--http", "0", "--http-token", "short"], "16 characters or more"),
    ],
)
def test_a_page_that_anyone_could_open_is_refused(options, sentence, capsys):
    assert main(["serve", "--port", "0", *options]) == 1
    assert sentence in capsys.readouterr().err


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "spokestream.pipelines.console.console", raising=False)
    assert main(["serve", "--port", "0", "--http", "0"]) == 1
    assert "pip install spokestream[http]" in capsys.readouterr().err
