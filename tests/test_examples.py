"""The examples run as they stand, each in a folder of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SAYS = {
    "replay_and_plot.py": r"t1ff-2d-1400, 1400 spokes; trajectory: embedded\. See maps\.png\.",
    "own_sequence.py": r"640 spokes in 80 frames.*t1h2o: median [\d.e+]+ ms",
    "own_gadget.py": r"[1-9]\d* spokes of the slice hold a spike",
}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == SAYS.keys()


@pytest.mark.parametrize("name", SAYS)
def test_it_runs_and_says_what_it_found(name, tmp_path):
    done = subprocess.run([sys.executable, EXAMPLES / name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(SAYS[name], done.stdout, flags=re.DOTALL), done.stdout
    if name == "replay_and_plot.py":
        assert (tmp_path / "maps.png").stat().st_size > 10_000
