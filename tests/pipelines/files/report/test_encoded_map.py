"""A map is decoded to the values of its images, bit for bit where they are whole numbers."""

import base64
import zlib

import numpy as np
import pytest
from map_image_examples import example_images

from spokestream.pipelines.files.outputs import scan_maps
from spokestream.pipelines.files.report.encoded_map import encode
from spokestream.simulator.physics.quantities import QUANTITIES


def decoded(encoded, shape):
    """The values (slices, y, x) as `decoding.js` computes them."""
    slices = []
    for text in encoded.slices:
        low, high = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).astype(float).reshape(2, *shape)
        level = low + 256 * high
        values = encoded.offset + encoded.slope * (encoded.lowest + level - 1)
        slices.append(np.where(level == 0, np.nan, values).astype(np.float32))
    return np.stack(slices)


@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_whole_numbers_are_exact(dtype):
    maps = scan_maps(example_images(2, dtype=dtype))
    for name, values in maps.values.items():
        back = decoded(encode(QUANTITIES[name], maps.images[name], values), values.shape[1:])
        np.testing.assert_array_equal(back, values)


def test_floating_point_numbers_are_rounded_to_the_declared_step():
    maps = scan_maps(example_images(1, dtype="float32"))
    for name, values in maps.values.items():
        encoded = encode(QUANTITIES[name], maps.images[name], values)
        assert encoded.slope == QUANTITIES[name].slope
        error = decoded(encoded, values.shape[1:]) - values
        assert np.array_equal(np.isnan(error), np.isnan(values))
        assert np.nanmax(np.abs(error)) <= 0.5001 * encoded.slope


def test_a_range_of_more_than_16_bits_gets_a_larger_step():
    maps = scan_maps(example_images(1, dtype="float32"))
    values = maps.values["t1h2o"]
    values[0, 4, 7] = 1e6
    encoded = encode(QUANTITIES["t1h2o"], maps.images["t1h2o"], values)
    back = decoded(encoded, values.shape[1:])
    assert encoded.slope == pytest.approx((1e6 - np.nanmin(values)) / 65533)
    np.testing.assert_allclose(back, values, atol=0.51 * encoded.slope)


def test_slices_of_different_steps_are_not_mixed_up():
    maps = scan_maps(example_images(2))
    second = maps.images["ff"][1]
    second.attribute_string = second.attribute_string.replace("0.00025", "0.0005")
    values = maps.values["ff"]
    encoded = encode(QUANTITIES["ff"], maps.images["ff"], values)
    np.testing.assert_allclose(decoded(encoded, values.shape[1:]), values, atol=0.000126)


def test_a_map_without_a_valid_voxel_is_empty():
    maps = scan_maps(example_images(1))
    nothing = np.full_like(maps.values["ff"], np.nan)
    assert np.isnan(decoded(encode(QUANTITIES["ff"], maps.images["ff"], nothing), nothing.shape[1:])).all()
