"""What a node loads: physics and the archives of networks, and neither phantoms nor training."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.client import send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

ROOT = Path(__file__).parents[1]

SERVE = """
import json, sys
from spokestream.pipelines.cli.main import main

assert main(["serve", "--port", "0"]) == 0
print(json.dumps(sorted(sys.modules)))
"""

ALL_GADGETS = """
import importlib, json, pkgutil, sys
import spokestream.gadgets as gadgets

names = [module.name for module in pkgutil.walk_packages(gadgets.__path__, "spokestream.gadgets.")]
for name in names:
    importlib.import_module(name)
print(json.dumps([names, sorted(sys.modules)]))
"""


def python(code):
    """A new Python process; in this one pytest and the other tests have loaded most modules."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def below(modules, package):
    """The modules of this package, itself included."""
    return [module for module in modules if f"{module}.".startswith(f"{package}.")]


def beside_physics(modules):
    """The modules of the simulator that are no part of its physics."""
    physics = below(modules, "spokestream.simulator.physics")
    assert "spokestream.simulator.physics.signal" in physics
    return sorted(set(below(modules, "spokestream.simulator")) - set(physics) - {"spokestream.simulator"})


def test_a_node_that_has_reconstructed_scans_has_loaded_no_simulation_and_no_training(tmp_path):
    simulate_scan(tmp_path / "t1ff.h5", SimulationSettings(matrix=32, coils=3))
    brain = SimulationSettings(anatomy="brain", matrix=32, coils=3, sequence="fisp-fang-576")
    simulate_scan(tmp_path / "t1t2.h5", brain)
    scans = {name: read_scan(tmp_path / f"{name}.h5") for name in ("t1ff", "t1t2")}
    measured = {name: scans[name.removeprefix("mrf_").removesuffix("_net")] for name in PIPELINES}
    with python(SERVE) as node:
        try:
            port = next(
                int(found[1]) for line in node.stderr if (found := re.search(r"Listening on .* port (\d+)", line))
            )
            images = [len(send_scan(scan.xml, scan, port=port, config=name).images) for name, scan in measured.items()]
        finally:
            node.send_signal(signal.SIGTERM)
        printed, said = node.communicate()
    assert node.returncode == 0, said
    modules = json.loads(printed)
    # five maps, or two, with proton density, phase and three checks; the standard deviations, or the match quality
    images_of = {"mrf_t1ff": 15, "mrf_t1ff_net": 15, "mrf_t1t2": 8, "mrf_t1t2_net": 9}
    assert images == [images_of[name] for name in PIPELINES]
    assert "spokestream.pipelines.node.server" in modules
    assert beside_physics(modules) == []
    assert below(modules, "spokestream.models") == ["spokestream.models", "spokestream.models.archives"]
    unneeded = {
        "aiohttp",
        "prometheus_client",
        "matplotlib",
        "nibabel",
        "pypulseq",
        "dask",
        "distributed",
        "tensorboard",
    }
    assert unneeded & set(modules) == set()


def test_gadgets_load_physics_alone():
    with python(ALL_GADGETS) as process:
        printed, said = process.communicate()
    assert process.returncode == 0, said
    names, modules = json.loads(printed)
    files = list((ROOT / "gadgets").rglob("*.py"))
    assert len(names) == len(files) - 1  # the package itself is where the walk begins
    assert set(names) <= set(modules)
    assert beside_physics(modules) == []
    assert below(modules, "spokestream.models") == []
    assert below(modules, "spokestream.pipelines") == []
