"""What a node loads: physics and the archives of networks, and neither phantoms nor training."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

SERVE = """
import json, logging, os, signal, sys

class StopWhenListening(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("Listening"):
            os.kill(os.getpid(), signal.SIGTERM)

logging.getLogger("spokestream.server").addHandler(StopWhenListening())
from spokestream.pipelines.cli.main import main

assert main(["serve", "--port", "0"]) == 0
from spokestream.pipelines.chains import PIPELINES, select, start_scan

gadgets = {}
for name in PIPELINES:
    chain = start_scan(select(name), sys.argv[1], logging.getLogger("test"))
    gadgets[name] = [type(gadget).__name__ for gadget in chain.gadgets]
    chain.close()
print(json.dumps([gadgets, sorted(sys.modules)]))
"""

ALL_GADGETS = """
import importlib, json, pkgutil, sys
import spokestream.gadgets as gadgets

names = [module.name for module in pkgutil.walk_packages(gadgets.__path__, "spokestream.gadgets.")]
for name in names:
    importlib.import_module(name)
print(json.dumps([names, sorted(sys.modules)]))
"""

SPACE = (
    "<matrixSize><x>{0}</x><y>{0}</y><z>1</z></matrixSize><fieldOfView_mm><x>{0}</x><y>{0}</y><z>8</z></fieldOfView_mm>"
)
HEADER = (
    "<ismrmrdHeader><acquisitionSystemInformation><systemFieldStrength_T>2.89</systemFieldStrength_T>"
    f"</acquisitionSystemInformation><encoding><encodedSpace>{SPACE.format(64)}</encodedSpace>"
    f"<reconSpace>{SPACE.format(32)}</reconSpace><trajectory>radial</trajectory></encoding></ismrmrdHeader>"
)


def in_a_new_process(code, *arguments):
    """What the code prints as JSON; importing pytest and the other tests has loaded most modules in this process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def below(modules, package):
    """The modules of this package, itself included."""
    return [module for module in modules if f"{module}.".startswith(f"{package}.")]


def beside_physics(modules):
    """The modules of the simulator that are no part of its physics."""
    physics = below(modules, "spokestream.simulator.physics")
    assert "spokestream.simulator.physics.signal" in physics
    return sorted(set(below(modules, "spokestream.simulator")) - set(physics) - {"spokestream.simulator"})


def test_a_node_loads_no_simulation_and_no_training():
    gadgets, modules = in_a_new_process(SERVE, HEADER)
    assert gadgets["mrf_t1ff"][-2:] == ["DictionaryMatching", "MapImages"]
    assert gadgets["mrf_t1ff_net"][-3:] == ["NetworkInference", "PhysicsCheck", "MapImages"]
    assert "spokestream.pipelines.node.server" in modules
    assert beside_physics(modules) == []
    assert below(modules, "spokestream.models") == ["spokestream.models", "spokestream.models.archives"]
    unneeded = {"matplotlib", "nibabel", "pypulseq", "dask", "distributed", "tensorboard"}
    assert unneeded & set(modules) == set()


def test_gadgets_load_physics_alone():
    names, modules = in_a_new_process(ALL_GADGETS)
    files = list((ROOT / "gadgets").rglob("*.py"))
    assert len(names) == len(files) - 1  # the package itself is where the walk begins
    assert set(names) <= set(modules)
    assert beside_physics(modules) == []
    assert below(modules, "spokestream.models") == []
    assert below(modules, "spokestream.pipelines") == []
