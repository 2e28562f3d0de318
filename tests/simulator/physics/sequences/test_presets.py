"""The presets, against what their papers and the authors' public code say."""

import numpy as np
import pytest

from spokestream.simulator.physics.sequences.loading import load_sequence, preset_names
from spokestream.simulator.physics.sequences.pulse_sequence import SCALARS, TRAINS

PUBLISHED = {
    # name: spokes, lowest and highest flip angle, shortest and longest TR
    "t1ff-2d-1400": (1400, (5, 15), (3.52, 5.76)),
    "t1ff-2d-1400-adj": (1400, (5, 15), (4.02, 6.26)),
    "t1ff-3d-760": (760, (5, 29.3), (4.8697, 5.6562)),
    "fisp-song-1000": (1000, (0, 70), (11.5, 14.5)),
    "fisp-song-200": (200, (0, 70), (11.5, 14.5)),
    "fisp-fang-2304": (2304, (5, 12), (7, 7)),
    "fisp-fang-576": (576, (5, 12), (7, 7)),
    "fisp-balsiger-720": (720, None, None),
    "epi-cohen-25": (25, None, None),
}


def test_every_preset_is_compared_with_its_paper():
    assert sorted(PUBLISHED) == preset_names()


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_and_ranges_are_the_published_ones(name):
    sequence = load_sequence(name)
    spokes, flip_deg, tr_ms = PUBLISHED[name]
    assert len(sequence) == spokes
    for train, limits in ((sequence.flip_angle_deg, flip_deg), (sequence.tr_ms, tr_ms)):
        if limits:
            np.testing.assert_allclose((train.min(), train.max()), limits, atol=0.04)
    assert sequence.spoiling == ("ideal" if name.startswith("t1ff") else "gradient")


def test_a_quarter_of_the_train_of_fang_begins_as_the_whole():
    quarter, whole = load_sequence("fisp-fang-576"), load_sequence("fisp-fang-2304")
    for name in TRAINS:
        np.testing.assert_allclose(getattr(quarter, name), getattr(whole, name)[:576], rtol=1e-14)
    for name in SCALARS:
        assert getattr(quarter, name) == getattr(whole, name)


def test_the_3d_train_has_the_published_plateaus_and_duration():
    sequence = load_sequence("t1ff-3d-760")
    te = np.repeat([3.042, 3.000, 3.786, 3.739], [266, 260, 103, 131])
    np.testing.assert_allclose(sequence.te_ms, te, atol=6e-4)
    np.testing.assert_allclose(sequence.tr_ms - sequence.te_ms, 1.87, rtol=1e-9)
    assert np.sum(sequence.tr_ms) == pytest.approx(3890, abs=1)
    assert sequence.ti_ms == 8.32


def test_song_s_first_lobe_is_the_public_one():
    flip = load_sequence("fisp-song-1000").flip_angle_deg
    np.testing.assert_allclose(flip[:5], [5.94, 6.41, 6.88, 7.35, 7.82], atol=6e-3)
    np.testing.assert_allclose(flip[97:100], 35.0, atol=6e-3)
    np.testing.assert_allclose(flip[197:212], [5.47, 5] + 10 * [0] + [5.6, 6.19, 6.79][:3], atol=8e-3)
    assert flip[518] == 70


def test_song_s_short_train_is_every_fifth_pulse_of_the_long_one():
    long, short = load_sequence("fisp-song-1000"), load_sequence("fisp-song-200")
    np.testing.assert_allclose(short.flip_angle_deg, long.flip_angle_deg[::5], atol=5.1e-3)


def test_a_window_over_48_images_leaves_balsiger_s_673():
    assert len(load_sequence("fisp-balsiger-720")) - 48 + 1 == 673


def test_two_loads_give_the_same_random_trains():
    a, b = load_sequence("epi-cohen-25"), load_sequence("epi-cohen-25")
    assert np.array_equal(a.tr_ms, b.tr_ms)
    assert len(np.unique(a.tr_ms)) > 15
    assert np.array_equal(np.round(a.tr_ms, 2), a.tr_ms)
