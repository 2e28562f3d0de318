"""Evidence of wrong data that an image contains by itself: its contrast to the background, and its spectrum.

The spectrum of the image of a slice is known in three places, whatever the patient looks like. It is strongest at
k = 0, because tissue is large and bright. It has samples up to the resolution of the image. And it has none in the
corners, because spokes and arms end on a circle; the corners of echo-planar images are not judged. If readouts are
placed wrongly in k-space, one of the three is no longer true.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from spokestream.gadgets.messages import Complex, Mask

__all__ = ["CORNERS", "ImageEvidence", "image_evidence", "leading_image"]

CORNERS = 1.1
"""Radius in k-space, over that of the resolution, beyond which spokes have no samples."""
INSIDE = 2.5
"""Radius in pixels within which the spectrum is strongest. It is not 0, because the signals of two legs may cancel at
k = 0 if off-resonance gives them opposite phases."""
RIM = (0.7, 0.95)
"""Radii of the ring at the edge of the resolution."""
MIDDLE = (0.3, 0.5)
"""Radii of a ring with which the rim is compared."""


@dataclass(frozen=True)
class ImageEvidence:
    """Numbers that are known for a good image."""

    contrast: float
    """Median signal of the foreground over that of the background; infinity if there is no background."""
    ring: float
    """Largest mean power of a ring of 3 pixels or more around k = 0, over the largest power within it."""
    corners: float
    """Mean power in the corners of k-space over that of the rim."""
    rim: float
    """Mean power of the rim over that of a ring halfway to k = 0."""


def image_evidence(images: Complex, foreground: Mask) -> ImageEvidence:
    """Evidence from the images of a slice.

    Args:
        images: (K, y, x) coefficients or frames.
        foreground: (y, x) mask with at least one pixel.

    """
    image = leading_image(images)
    signal = np.abs(image)
    background = float(np.median(signal[~foreground])) if not foreground.all() else 0.0
    power = np.fft.fftshift(np.abs(scipy.fft.fft2(image)) ** 2)
    ny, nx = power.shape
    ky, kx = np.arange(ny)[:, None] - ny // 2, np.arange(nx) - nx // 2
    radius = np.hypot(ky / (ny / 2), kx / (nx / 2))
    ring = np.rint(np.hypot(ky, kx)).astype(int)
    mean_power = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    rim = _mean(power, (radius > RIM[0]) & (radius < RIM[1]))
    centre = float(power[np.hypot(ky, kx) < INSIDE].max())
    return ImageEvidence(
        contrast=_ratio(float(np.median(signal[foreground])), background),
        ring=_ratio(float(mean_power[3 : max(4, min(ny, nx) // 4)].max()), centre),
        corners=_ratio(_mean(power, radius > CORNERS), rim),
        rim=_ratio(rim, _mean(power, (radius > MIDDLE[0]) & (radius < MIDDLE[1]))),
    )


def leading_image(images: Complex) -> NDArray[np.complex64]:
    """The sum (y, x) of images (K, y, x) with the weights that they have in the brightest of them.

    This is one step of a power iteration towards the first singular vector, in which noise is averaged.
    """
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    parts = flat.view(np.float32)
    brightest = flat[np.einsum("kx,kx->k", parts, parts).argmax()]
    weights = (flat @ brightest.conj()).conj()
    weights /= max(np.linalg.norm(weights), np.float32(1e-30))
    return np.asarray((weights @ flat).reshape(images.shape[1:]))


def _mean(power: NDArray[np.floating], where: Mask) -> float:
    return float(power[where].mean()) if where.any() else 0.0


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else np.inf
