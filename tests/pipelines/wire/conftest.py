import ismrmrd
import numpy as np
import pytest


@pytest.fixture
def make_acquisition():
    """Makes a random readout with values other than the defaults in many header fields."""

    def make(channels=3, samples=7, dims=2, seed=0, flags=0):
        rng = np.random.default_rng(seed)
        data = rng.normal(size=(channels, samples)) + 1j * rng.normal(size=(channels, samples))
        acquisition = ismrmrd.Acquisition.from_array(
            data.astype(np.complex64), rng.normal(size=(samples, dims)).astype(np.float32)
        )
        head = acquisition._head
        head.flags, head.scan_counter, head.center_sample = flags, 4711, samples // 2
        head.position[:] = (1.5, -2.5, 3.25)
        head.idx.kspace_encode_step_1, head.idx.slice = 13, 2
        head.user_int[7], head.user_float[0], head.channel_mask[15] = -5, 0.125, 1 << 63
        return acquisition

    return make


@pytest.fixture
def make_image():
    """Makes an image of any of the eight pixel types. The pixels are set directly, because `ismrmrd` refuses int32."""

    def make(dtype=np.float32, shape=(1, 1, 5, 3), meta=None):
        rng = np.random.default_rng(1)
        image = ismrmrd.Image(meta=ismrmrd.Meta(meta or {}))
        pixels = rng.integers(0, 100, shape) * (1 - 2j if np.dtype(dtype).kind == "c" else 1)
        image._Image__data = pixels.astype(dtype)
        image._head.image_series_index, image._head.image_index = 7, 2
        image._head.field_of_view[:] = (300, 301, 5)
        return image

    return make
