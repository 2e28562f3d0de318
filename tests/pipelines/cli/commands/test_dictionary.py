"""`spokestream dictionary`, apart from the command line that it hangs on."""

import argparse
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from spokestream.errors import FileError, SpokestreamError
from spokestream.pipelines.cli.commands.dictionary import options, run
from spokestream.simulator.physics.dictionaries.t1t2 import load_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.water_fat import load_dictionary


def dictionary(*arguments):
    parser = argparse.ArgumentParser()
    options(parser)
    run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def decays(monkeypatch):
    """A simulation that costs nothing."""

    def decay(sequence, t1_ms, t2_ms, **_):
        time = np.cumsum(sequence.tr_ms)
        return (np.exp(-time / t2_ms[:, None]) - 0.5 * np.exp(-time / t1_ms[:, None])).astype(np.float32)

    monkeypatch.setitem(sys.modules, "spokestream.simulator.physics.fingerprint", SimpleNamespace(fingerprint=decay))


def test_a_t1ff_dictionary_is_the_closed_form_one(tmp_path, capsys):
    file = tmp_path / "d.h5"
    dictionary(file, "--sequence", "t1ff-2d-1400", "--grid", "t1ff")
    assert load_dictionary(file).water.shape == (15, 114, 1400)
    said = capsys.readouterr().out
    assert re.fullmatch(r"1,830 atoms, 1,400 spokes each; [\d.]+ MB in [\d.]+ s: .*d\.h5\n", said)


@pytest.mark.parametrize(("given", "rank"), [((), None), (("--compress", "5"), 5)])
def test_a_t1t2_dictionary_has_the_atoms_of_its_grid(tmp_path, capsys, decays, given, rank):
    file = tmp_path / "d.h5"
    dictionary(file, "--sequence", "epi-cohen-25", "--grid", "fang", *given)
    made = load_t1t2_dictionary(file)
    assert made.atoms.shape == (13_123, rank or 25)
    said = capsys.readouterr().out
    assert said.startswith("13,123 atoms, " + (f"rank {rank} keeps " if rank else "25 spokes each; "))
    assert said.count("\n") == 1


def test_a_share_of_the_energy_chooses_the_rank(tmp_path, capsys, decays):
    dictionary(tmp_path / "d.h5", "--sequence", "epi-cohen-25", "--grid", "fang", "--compress", "0.99")
    assert load_t1t2_dictionary(tmp_path / "d.h5").energy >= 0.99
    assert re.search(r"rank \d+ keeps 99\.\d+ % of their energy", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sequence", "nope", "--grid", "fang"), "no sequence preset 'nope'"),
        (("--sequence", "fisp-song-1000", "--grid", "t1ff"), "ideally spoiled trains"),
        (("--sequence", "t1ff-2d-1400", "--grid", "drone"), "T2 cannot be measured"),
        (("--sequence", "t1ff-2d-1400", "--grid", "t1ff", "--compress", "9"), "leave --compress out"),
        (("--sequence", "epi-cohen-25", "--grid", "song", "--compress", "1.0"), r"1\.0 is neither"),
        (("--sequence", "epi-cohen-25", "--grid", "song", "--compress", "26"), "1 to 25 vectors"),
    ],
)
def test_impossible_combinations_are_refused_in_a_sentence(tmp_path, arguments, words):
    with pytest.raises(SpokestreamError, match=words) as refusal:
        dictionary(tmp_path / "d.h5", *arguments)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match="There is no folder"):
        dictionary(tmp_path / "gone" / "d.h5", "--sequence", "t1ff-2d-1400", "--grid", "t1ff")
