"""Measures of maps against a reference, defined as by Balsiger et al. 2020 (doi 10.1016/j.media.2020.101741).

All functions take maps in their units. The prediction is the first argument, the reference the second.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter

from spokestream.gadgets.messages import Mask

__all__ = [
    "Agreement",
    "Line",
    "Moments",
    "bland_altman",
    "blurriness",
    "line",
    "nrmse",
    "psnr",
    "region_means",
    "ssim",
]

Real = NDArray[np.floating]

SSIM_WINDOW = 7
SSIM_K1, SSIM_K2 = 0.01, 0.03


@dataclass(frozen=True)
class Moments:
    """Number, sum and sum of squares of the errors of some voxels. Moments of two regions can be added."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, error: ArrayLike) -> "Moments":
        """The moments of an array of errors of any shape."""
        values = np.asarray(error, np.float64)
        return cls(values.size, float(values.sum()), float(np.square(values).sum()))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def bias(self) -> float:
        """Mean error; NaN without voxels."""
        return self.total / self.n if self.n else float("nan")

    @property
    def rmse(self) -> float:
        """Root mean square error; NaN without voxels."""
        return float(np.sqrt(self.squares / self.n)) if self.n else float("nan")


@dataclass(frozen=True)
class Line:
    """The least-squares line reference = slope · prediction + intercept, and measures of the agreement."""

    r2: float
    """Square of the correlation coefficient, which does not depend on slope and intercept."""
    slope: float
    intercept: float
    bias: float
    """Mean of prediction - reference."""
    n: int
    """Number of pairs."""


@dataclass(frozen=True)
class Agreement:
    """Bland and Altman 1986: the mean difference, and the limits that contain 95 % of normally distributed ones."""

    mean: float
    low: float
    high: float


def nrmse(prediction: Real, reference: Real, mask: Mask) -> float:
    """Root mean square error over the range of the reference, both within the mask; NaN if the range is 0."""
    target = reference[mask]
    span = np.ptp(target) if target.size else 0
    return Moments.of(prediction[mask] - target).rmse / float(span) if span else float("nan")


def psnr(prediction: Real, reference: Real, mask: Mask) -> float:
    """Peak signal-to-noise ratio in dB, within the mask and where the reference is not 0.

    The peak is the largest value of the reference, also for maps with negative values: for off-resonance, for
    instance, it is half the range.
    """
    judged = mask & (reference != 0)
    if not judged.any() or (peak := float(reference.max())) <= 0:
        return float("nan")
    error = Moments.of(prediction[judged] - reference[judged]).rmse
    return float(20 * np.log10(peak / error)) if error else float("inf")


def ssim(prediction: Real, reference: Real) -> float:
    """Structural similarity (Wang et al. 2004, doi 10.1109/TIP.2003.819861), averaged over pixels and slices.

    The window is uniform with 7 x 7 pixels, variances are unbiased, and the range is the largest value of the
    reference. Pixels whose window would extend beyond the slice are left out.

    Args:
        prediction: (slices, y, x), 0 in the background.
        reference: (slices, y, x), 0 in the background.

    Raises ValueError for slices that are smaller than the window.

    """
    if min(reference.shape[1:]) < SSIM_WINDOW:
        raise ValueError(f"Structural similarity takes slices of {SSIM_WINDOW} x {SSIM_WINDOW} pixels or more.")
    x, y = prediction.astype(np.float64), reference.astype(np.float64)
    c1, c2 = (SSIM_K1 * y.max()) ** 2, (SSIM_K2 * y.max()) ** 2

    def mean(values: Real) -> Real:
        return np.asarray(uniform_filter(values, (1, SSIM_WINDOW, SSIM_WINDOW)))

    n = SSIM_WINDOW**2
    mx, my = mean(x), mean(y)
    vx, vy, vxy = (
        n / (n - 1) * (mean(a * b) - ma * mb) for a, b, ma, mb in ((x, x, mx, mx), (y, y, my, my), (x, y, mx, my))
    )
    similarity = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    edge = SSIM_WINDOW // 2
    return float(similarity[:, edge:-edge, edge:-edge].mean())


def region_means(values: Real, labels: NDArray[np.integer], mask: Mask, wanted: ArrayLike) -> NDArray[np.float64]:
    """The mean within the mask for every wanted label; NaN for labels without a voxel in the mask."""
    size = int(max(np.max(wanted), labels.max())) + 1
    counts = np.bincount(labels[mask], minlength=size)
    sums = np.bincount(labels[mask], weights=values[mask].astype(np.float64), minlength=size)
    means = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
    return np.asarray(means[np.asarray(wanted)])


def line(prediction: ArrayLike, reference: ArrayLike) -> Line:
    """Fit a line to paired values, for instance means of regions.

    Raises ValueError for fewer than three pairs, or if all values are equal.
    """
    x, y = np.asarray(prediction, np.float64), np.asarray(reference, np.float64)
    if x.size < 3 or not np.ptp(x) or not np.ptp(y):
        raise ValueError("A line takes three pairs of different values.")
    (vx, cov), (_, vy) = np.cov(x, y)
    slope = cov / vx
    return Line(cov**2 / (vx * vy), slope, y.mean() - slope * x.mean(), float(np.mean(x - y)), x.size)


def bland_altman(prediction: ArrayLike, reference: ArrayLike) -> Agreement:
    """The mean of prediction - reference over paired values, and limits at 1.96 standard deviations around it."""
    difference = np.asarray(prediction, np.float64) - np.asarray(reference, np.float64)
    mean, reach = float(difference.mean()), 1.96 * float(difference.std())
    return Agreement(mean, mean - reach, mean + reach)


def blurriness(image: Real, thresholds: ArrayLike) -> NDArray[np.float64]:
    """The fraction of a slice's energy at spatial frequencies above each threshold; lower values mean smoother images.

    Args:
        image: (y, x), 0 in the background.
        thresholds: fractions of the highest frequency along an axis, which is half a cycle per pixel.

    Raises ValueError for an image of zeros.

    """
    energy = np.abs(np.fft.fft2(image)) ** 2
    if not (whole := energy.sum()):
        raise ValueError("An image of zeros is neither sharp nor blurred.")
    fy, fx = (np.fft.fftfreq(n) for n in image.shape)
    radius = np.hypot(fy[:, None], fx) / 0.5
    return np.array([energy[radius > t].sum() / whole for t in np.atleast_1d(thresholds)])
