"""Texture at every scale, as in the maps of patients.

In the maps of one patient's thigh, made by matching at pixels of 1 mm, water T1 in lean muscle varies by a standard
deviation of 35 to 38 ms in every octave from 1.4 to 11 mm, and by 70 ms at coarser scales. A spectrum with the same
variance in every octave gives both. In finer octaves the maps contain mostly noise; the texture continues there with
the same variance.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.phantom import Phantom

__all__ = ["BAND_FF", "BAND_T1_FAT_MS", "BAND_T1_WATER_MS", "texture"]

Float = NDArray[np.float32]

BAND_T1_WATER_MS = 35.0
"""Standard deviation of water T1 in the band between Gaussian smoothings of s and 2 s, for any s."""
BAND_FF = 0.011
"""The same of the fat fraction, which was .011 to .013 in lean muscle and .007 to .016 in fat."""
BAND_T1_FAT_MS = 5.0
"""The same of fat T1, which was 3 to 8 ms."""
COARSEST_MM, FINEST_MM = 150.0, 1.0
"""Longest wavelength, about the width of a thigh, and half of the shortest one."""
WAVES = 400
"""Plane waves, about 65 in each octave."""
BAND_OF_UNIT = np.sqrt(np.log((0.5 + 2) ** 2 / (4 * 0.5 * 2)) / 2)
"""Standard deviation in a band of a field with variance 1 in every unit of ln k. It is the root of the integral of
(exp(-k^2 s^2 / 2) - exp(-2 k^2 s^2))^2 over ln k, which is ln((a + b)^2 / (4 a b)) / 2 with a = 1/2 and b = 2."""
LEAST_T1_MS = 300.0
LEAST_FF, MOST_FF = 0.0, 0.97


def texture(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """The slice with independent textures of water T1, fat fraction and fat T1, wherever there is tissue."""
    t1h2o = phantom.t1h2o + BAND_T1_WATER_MS * _octaves(phantom, rng)
    ff = phantom.ff + BAND_FF * _octaves(phantom, rng)
    t1fat = phantom.t1fat + BAND_T1_FAT_MS * _octaves(phantom, rng)
    tissue = phantom.pd > 0

    def within(new: Float, old: Float, least: float, most: float) -> Float:
        """The new values between the limits where the old ones lie between them; others are kept."""
        return np.where(tissue & (old > least) & (old < most), np.clip(new, least, most), old).astype(np.float32)

    return replace(
        phantom,
        t1h2o=within(t1h2o, phantom.t1h2o, LEAST_T1_MS, np.inf),
        ff=within(ff, phantom.ff, LEAST_FF, MOST_FF),
        t1fat=within(t1fat, phantom.t1fat, 0.0, np.inf),
    )


def _octaves(phantom: Phantom, rng: np.random.Generator) -> Float:
    """A random field (y, x) with a standard deviation of 1 in every band: plane waves, evenly spread over ln k.

    The waves do not depend on the grid. A grid cannot hold waves shorter than two of its pixels, which are left out.
    """
    span = np.log(COARSEST_MM / (2 * FINEST_MM))
    k = 2 * np.pi / COARSEST_MM * np.exp(span * (np.arange(WAVES) + rng.random(WAVES)) / WAVES)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, WAVES))
    rows, columns = phantom.pd.shape
    pixel_mm = phantom.fov_mm / columns
    kept = k < np.pi / pixel_mm
    ky, kx, phase = (k * np.sin(angle))[kept], (k * np.cos(angle))[kept], phase[kept]
    y, x = ((np.arange(n) - n // 2) * pixel_mm for n in (rows, columns))
    along_y, along_x = np.exp(1j * (np.outer(y, ky) + phase)), np.exp(1j * np.outer(kx, x))
    amplitude = np.sqrt(2 * span / WAVES) / BAND_OF_UNIT
    return np.asarray(amplitude * (along_y @ along_x).real, np.float32)
