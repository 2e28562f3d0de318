"""What the pictures show: their colours, where they are black, and how many maps and slices they have."""

import numpy as np
from matplotlib.image import imread

from spokestream.pipelines.files.figures import comparison_figure, maps_figure
from spokestream.simulator.physics.colour_scales import colour_map, colour_scale
from spokestream.simulator.physics.quantities import QUANTITIES


def volumes(n_slices=1, names=("ff", "t1h2o", "deltaf", "b1")):
    values = {"ff": 0.5, "t1h2o": 1000.0, "deltaf": 0.0, "b1": 0.9}
    maps = {name: np.full((n_slices, 20, 30), values[name], np.float32) for name in names}
    valid = {name: np.ones((n_slices, 20, 30), bool) for name in names}
    return maps, valid


def share_of_colour(picture, colour):
    return np.mean(np.all(np.abs(picture[..., :3] - np.array(colour)[:3]) < 0.004, axis=-1))


def test_values_have_exactly_the_colour_of_their_scale_and_black_is_invalid(tmp_path):
    maps, valid = volumes(names=("t1h2o",))
    valid["t1h2o"][:, :, 15:] = False
    valid["t1h2o"][:, :, -1] = True  # so that the picture is not cropped
    maps_figure(tmp_path / "a.png", maps, valid)
    quantity = QUANTITIES["t1h2o"]
    colour = colour_map(quantity.colours)(colour_scale(quantity, quantity.low, quantity.high)(1000.0))
    picture = imread(tmp_path / "a.png")
    shown, black = share_of_colour(picture, colour), share_of_colour(picture, (0, 0, 0))
    # one panel is 435 x 290 pixels; 16 of its 30 columns are valid
    expected = 435 * 290 / (picture.shape[0] * picture.shape[1]) * np.array([16, 14]) / 30
    np.testing.assert_allclose([shown, black], expected, rtol=0.02)


def test_three_maps_a_row_and_at_most_five_slices(tmp_path):
    shapes = {}
    for names, n_slices in ((("ff",), 1), (("ff", "t1h2o", "deltaf"), 1), (tuple(volumes()[0]), 1)):
        maps_figure(tmp_path / "a.png", *volumes(n_slices, names))
        shapes[len(names)] = imread(tmp_path / "a.png").shape[:2]
    assert shapes[1][1] < shapes[3][1] == shapes[4][1]
    assert shapes[1][0] == shapes[3][0] < shapes[4][0]
    heights = []
    for n_slices in (1, 2, 5, 9):
        maps_figure(tmp_path / "a.png", *volumes(n_slices, ("ff",)))
        heights.append(imread(tmp_path / "a.png").shape[0])
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_the_panels_of_a_comparison_are_black_where_either_map_has_no_meaning(tmp_path):
    maps, judged = volumes(names=("b1",))
    truth = {"b1": maps["b1"] - 0.2}  # an error of a fifth of the window: the end of its scale
    comparison_figure(tmp_path / "a.png", maps, truth, judged, 0)
    picture = imread(tmp_path / "a.png")
    panel = 435 * 290 / (picture.shape[0] * picture.shape[1])
    quantity = QUANTITIES["b1"]
    scale = colour_scale(quantity, quantity.low, quantity.high)
    for value in (0.9, 0.7):
        assert share_of_colour(picture, colour_map(quantity.colours)(scale(np.float32(value)))) >= 0.97 * panel
    assert share_of_colour(picture, colour_map("coolwarm")(1.0)) >= 0.97 * panel
    assert share_of_colour(picture, (0, 0, 0)) < 0.05 * panel
