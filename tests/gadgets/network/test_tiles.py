import numpy as np
import pytest

from spokestream.gadgets.network.tiles import column_of_tiles, cover


def covered(tiling):
    mask = np.zeros(tiling.canvas, bool)
    for y, x in tiling.corners:
        mask[y : y + tiling.shape[0], x : x + tiling.shape[1]] = True
    return mask


@pytest.mark.parametrize("step", [1, 4, 8])
@pytest.mark.parametrize("shape", [(97, 61), (40, 133), (9, 5)])
def test_tiles_cover_the_foreground_and_stay_on_the_grid_and_on_the_canvas(rng, shape, step):
    foreground = rng.random(shape) > 0.98
    foreground[-1, -1] = foreground[0, 3] = True
    tiling = cover(foreground, largest=16, step=step)
    assert covered(tiling)[: shape[0], : shape[1]][foreground].all()
    assert all(0 <= c - c % step == c <= n - t for corner in tiling.corners
               for c, n, t in zip(corner, tiling.canvas, tiling.shape, strict=True))  # fmt: skip
    assert all(-n % step == m - n for n, m in zip(shape, tiling.canvas, strict=True))


def test_a_rectangle_of_whole_tiles_wherever_it_lies_takes_no_tile_too_many():
    foreground = np.zeros((101, 83), bool)
    foreground[13:45, 7:55] = True
    assert len(cover(foreground, largest=16).corners) == 2 * 3


def test_two_thighs_take_few_tiles_more_than_their_area():
    y, x = np.mgrid[:350, :350]
    thighs = np.hypot((y - 170) / 95, (x - 95) / 72) < 1
    thighs |= np.hypot((y - 180) / 95, (x - 255) / 72) < 1
    tiling = cover(thighs, largest=32)
    assert len(tiling.corners) * np.prod(tiling.shape) < 1.5 * thighs.sum()


def test_the_first_band_may_begin_above_the_foreground():
    # from the first row on, bands of 4 would cut the wide block in two
    foreground = np.zeros((12, 40), bool)
    foreground[0:2, 0] = True
    foreground[2:6] = True
    assert len(cover(foreground, largest=4).corners) == 11


def test_no_foreground_takes_no_tile():
    assert cover(np.zeros((7, 5), bool), largest=4).corners == []


def test_tiles_take_the_shape_of_what_they_cover():
    y, x = np.mgrid[:350, :350]
    thighs = np.hypot((y - 170) / 91, (x - 95) / 61) < 1
    thighs |= np.hypot((y - 170) / 91, (x - 255) / 61) < 1
    tiling = cover(thighs, largest=192, border=7)
    assert len(tiling.corners) == 2
    assert 182 <= tiling.shape[0] < 192
    assert 122 <= tiling.shape[1] < 132


@pytest.mark.parametrize(
    ("n_pixels", "n_tiles", "shape"),
    [(0, 0, (0, 32)), (1, 2, (1, 32)), (4096, 2, (64, 32)), (4097, 4, (33, 32)), (7524, 4, (59, 32))],
)
def test_pixels_alone_are_cut_into_an_even_number_of_tiles_of_at_most_2048(n_pixels, n_tiles, shape):
    tiling = column_of_tiles(n_pixels)
    assert (len(tiling.corners), tiling.shape) == (n_tiles, shape)
    assert tiling.canvas == (n_tiles * shape[0], shape[1])
    assert covered(tiling).sum() == n_tiles * shape[0] * shape[1] >= n_pixels
