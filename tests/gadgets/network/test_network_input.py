import numpy as np
import torch
from torch.nn.functional import pad

from spokestream.gadgets.network.network_input import crop_around, inside, padding


def test_a_crop_holds_all_pixels_and_the_margin():
    pixels = np.zeros((11, 7), bool)
    pixels[[4, 6], [5, 2]] = True
    assert crop_around(pixels, 3) == (slice(1, 10), slice(-1, 9))


def test_the_part_inside_and_the_padding_make_up_the_crop():
    image = torch.arange(1, 78).reshape(11, 7)
    for crop in [(slice(-2, 9), slice(3, 12)), (slice(4, 15), slice(-5, 2)), (slice(1, 3), slice(0, 7))]:
        given = pad(image[inside(crop, (11, 7))], padding(crop, (11, 7)))
        rows, columns = (slice(side.start + 20, side.stop + 20) for side in crop)
        assert torch.equal(given, pad(image, (20, 20, 20, 20))[rows, columns])
