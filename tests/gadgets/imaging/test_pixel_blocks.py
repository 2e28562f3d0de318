import numpy as np

from spokestream.gadgets.imaging.pixel_blocks import block_means, on_pixels
from spokestream.gadgets.messages import NOWHERE, Fingerprints, ParameterMaps

NO_BASIS = None  # blocks do not depend on it


def test_a_block_is_the_mean_of_its_foreground_and_edges_have_fewer_pixels():
    data = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(np.complex64) * (1 - 2j)
    foreground = np.ones((3, 5), bool)
    foreground[0, 1] = False
    foreground[2, 2:4] = False
    found = block_means(Fingerprints(data, NO_BASIS, foreground, 3, NOWHERE), 2)
    # image 0 holds 0..14 in rows of five; the blocks are rows 0-1 and 2, columns 0-1, 2-3 and 4
    expected = np.array([[(0 + 5 + 6) / 3, (2 + 3 + 7 + 8) / 4, (4 + 9) / 2], [(10 + 11) / 2, 0, 14]])
    np.testing.assert_allclose(found.data[0], expected * (1 - 2j), rtol=1e-6)
    np.testing.assert_allclose(found.data[1][found.foreground], (expected + 15)[found.foreground] * (1 - 2j), rtol=1e-6)
    np.testing.assert_array_equal(found.foreground, [[True, True, True], [True, False, True]])
    assert (found.slice, found.data.dtype) == (3, np.complex64)


def test_blocks_of_one_pixel_are_the_slice_itself():
    message = Fingerprints(np.ones((2, 3, 4), np.complex64), NO_BASIS, np.ones((3, 4), bool), 0, NOWHERE)
    assert block_means(message, 1) is message


def test_every_pixel_of_the_foreground_has_the_value_of_its_block():
    foreground = np.array([[True, True, False, True, True], [True] * 5, [False, True, True, True, True]])
    blocks = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    message = ParameterMaps({"ff": blocks}, 0, NOWHERE, np.ones((2, 3), bool))
    found = on_pixels(message, foreground, 2)
    np.testing.assert_array_equal(found.maps["ff"], [[1, 1, 0, 2, 3], [1, 1, 2, 2, 3], [0, 4, 5, 5, 6]])
    assert found.foreground is foreground
