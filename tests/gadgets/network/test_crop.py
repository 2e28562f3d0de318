import numpy as np
import torch
from torch.nn.functional import pad

from spokestream.gadgets.network.crop import around, beyond, within


def test_a_window_reaches_as_far_around_its_pixels_as_was_asked():
    pixels = np.zeros((11, 7), bool)
    pixels[[4, 6], [5, 2]] = True
    assert around(pixels, 3) == (slice(1, 10), slice(-1, 9))


def test_what_lies_within_and_beyond_make_up_the_window():
    image = torch.arange(1, 78).reshape(11, 7)
    for window in [(slice(-2, 9), slice(3, 12)), (slice(4, 15), slice(-5, 2)), (slice(1, 3), slice(0, 7))]:
        given = pad(image[within(window, (11, 7))], beyond(window, (11, 7)))
        rows, columns = (slice(side.start + 20, side.stop + 20) for side in window)
        assert torch.equal(given, pad(image, (20, 20, 20, 20))[rows, columns])
