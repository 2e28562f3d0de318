"""Sequence files: the patterns that they know, and what they refuse."""

import re
from pathlib import Path

import numpy as np
import pytest

from spokestream.errors import FileError
from spokestream.simulator.physics.sequences.loading import load_sequence, preset_names
from spokestream.simulator.physics.sequences.toml_file import quadratic_phase_deg
from spokestream.simulator.physics.sequences.trains import smooth, train_values

HEAD = "ti_ms = 8\nrecovery_ms = 1\n"
RUN = "[[train]]\nspokes = 3\nflip_angle_deg = 5\nte_ms = 2\ntr_ms = 4\n"


def read(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
    return load_sequence(path)


def test_runs_follow_each_other_and_common_trains_span_them(tmp_path):
    sequence = read(
        tmp_path,
        HEAD + 'spoiling = "balanced"\ninversion = false\nte_ms = 1.5\ntr_ms = { ramp = [3, 7] }\n'
        "[[train]]\nspokes = 2\nflip_angle_deg = [7, 9.5]\n"
        "[[train]]\nspokes = 3\nflip_angle_deg = { ramp = [10, 20] }\n",
    )
    assert sequence.name == "mine"
    assert sequence.flip_angle_deg.tolist() == [7, 9.5, 10, 15, 20]
    assert sequence.te_ms.tolist() == [1.5] * 5
    assert sequence.tr_ms.tolist() == [3, 4, 5, 6, 7]
    assert sequence.spoiling == "balanced"
    assert not sequence.inversion
    assert not sequence.rf_phase_deg.any()


def test_half_a_sine_rises_from_its_base_and_ends_on_it():
    lobe = train_values({"sine": [5, 35]}, 6)
    np.testing.assert_allclose(lobe, [20, 5 + 15 * np.sqrt(3), 35, 5 + 15 * np.sqrt(3), 20, 5])


def test_a_sine_takes_any_stretch_of_phase():
    wave = train_values({"sine": [8, 10], "phase_deg": [-90, 270]}, 5)
    np.testing.assert_allclose(wave, [6, 8, 10, 8, 6], atol=1e-12)


def test_knots_are_met_and_level():
    train = train_values({"through": [[0, 5], [4, 9], [10, 7]]}, 11)
    assert train[[0, 2, 4, 7, 10]].tolist() == [5, 7, 9, 8, 7]
    assert np.all(np.diff(train[:5]) > 0)
    assert np.all(np.diff(train[4:]) < 0)


@pytest.mark.parametrize("seed", [0, 7, 23])
def test_a_smooth_train_reaches_its_limits_without_jumps(seed):
    train = smooth(311, [11.5, 14.5], seed, swing_spokes=40)
    assert (train.min(), train.max()) == (11.5, 14.5)
    # a wave of the shortest period that spans the range moves at most pi x range / period a spoke
    assert np.abs(np.diff(train)).max() < 2 * np.pi * 3 / 40
    assert not np.array_equal(train, smooth(311, [11.5, 14.5], seed + 1, 40))


def test_rf_spoiling_steps_the_phase_by_ever_more(tmp_path):
    sequence = read(tmp_path, HEAD + "rf_spoiling_increment_deg = 50\n" + RUN.replace("3", "5"))
    assert sequence.rf_phase_deg.tolist() == [0, 50, 150, 300, 140]  # 500 - 360
    steps = np.diff(quadratic_phase_deg(40, 117)) % 360
    np.testing.assert_allclose(np.diff(steps) % 360, 117)


def test_phases_may_alternate(tmp_path):
    assert read(tmp_path, HEAD + RUN + "rf_phase_deg = [0, 180, 0]\n").rf_phase_deg.tolist() == [0, 180, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ti_ms = 8", "lacks 'train'"),
        (RUN, "lacks 'ti_ms'"),
        ("train = [[", "cannot be read"),
        ("train = 3", r"written as \[\[train\]\] runs"),
        ("train = []", r"written as \[\[train\]\] runs"),
        ("train = [1]", r"written as \[\[train\]\] runs"),
        (b"\xff\xfe\x00t", "no text in UTF-8"),
        (HEAD + "[[train]]\nspokes = 2\nflip_angle_deg = 5\nte_ms = 2\n", "lacks 'tr_ms'"),
        (HEAD + RUN.replace("tr_ms = 4", "tr_ms = 1"), "TE must be shorter than TR"),
        (HEAD + RUN.replace("tr_ms = 4", "tr_ms = nan"), "tr_ms: it takes finite numbers"),
        (HEAD + RUN.replace("spokes = 3", "spokes = 2.5"), "positive whole number"),
        (HEAD + RUN.replace("spokes = 3", "spokes = 10000000000"), "100000 at most"),
        (HEAD + RUN.replace("= 5", "= '5'"), "flip_angle_deg: it takes numbers, not"),
        (HEAD + RUN.replace("= 5", "= [5, 6]"), "flip_angle_deg: a list must have one value for each of 3 spokes"),
        (HEAD + RUN.replace("= 5", "= [5, 6, true]"), "a list takes numbers"),
        (HEAD + RUN.replace("= 5", "= {square = [1, 2]}"), "pattern is one of ramp, sine, through, smooth"),
        (HEAD + RUN.replace("= 5", "= {ramp = [1, 2, 3]}"), "ramp takes 2 numbers"),
        (HEAD + RUN.replace("= 5", "= {ramp = [1, 2], seed = 3}"), "ramp takes nothing besides"),
        (HEAD + RUN.replace("= 5", "= {smooth = [1, 2], seed = -1}"), "seed of smooth"),
        (HEAD + RUN.replace("= 5", "= {smooth = [1, 2], swing_spokes = 0}"), "swing_spokes must be positive"),
        (HEAD + RUN.replace("= 5", "= {through = [[0, 2], [1, 3]]}"), "in order from spoke 0 to 2"),
        (HEAD + RUN.replace("= 5", "= {through = 3}"), "at least two knots"),
        (HEAD + "te_ms = 2\n" + RUN, "te_ms is given both"),
        (HEAD + RUN + "flip = 3\n", "a run has no key 'flip'"),
        (HEAD + "tr = 3\n" + RUN, "there is no key 'tr'"),
        (f"ti_ms = 1{400 * '0'}\nrecovery_ms = 1\n" + RUN, "ti_ms: it takes finite numbers"),
        (HEAD + "repetitions = 1.5\n" + RUN, "repetitions must be a whole number, not 1.5"),
        (HEAD + "inversion = 1\n" + RUN, "inversion must be true or false, not 1"),
        (HEAD + "spoiling = 'none'\n" + RUN, "spoiling is one of"),
        (HEAD.replace("8", "'8'") + RUN, "ti_ms must be a number, not '8'"),
        (HEAD + "rf_spoiling_increment_deg = 'a'\n" + RUN, "takes numbers"),
        (HEAD + "rf_spoiling_increment_deg = 50\n" + RUN + "rf_phase_deg = 0\n", "exclude each other"),
    ],
)
def test_broken_files_are_refused_in_one_sentence(tmp_path, text, words):
    with pytest.raises(FileError, match=words) as refusal:
        read(tmp_path, text)
    assert str(refusal.value).startswith("The sequence 'mine' ")


def test_the_documented_file_is_one(tmp_path):
    page = Path(__file__).parents[4] / "docs/sequences.md"
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    sequence = read(tmp_path, example)
    assert len(sequence) == 304
    np.testing.assert_allclose(sequence.flip_angle_deg[[99, 199, 200, 207, 303]], [35, 5, 0, 10, 30])
    assert sequence.rf_phase_deg[2] == 150
    table = set(re.findall(r"^\| `((?:t1ff|fisp|epi)-[\w-]+)` \|", page.read_text(), flags=re.MULTILINE))
    assert table == set(preset_names())
