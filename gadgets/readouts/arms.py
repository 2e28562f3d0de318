"""The positions of readouts that are no straight spokes: arms that turn from one to the next, or whole images."""

import math

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.imaging.arm_density import density_of_one_readout, density_of_rotations, raster_steps
from spokestream.gadgets.readouts.embedded_columns import ThirdColumn
from spokestream.gadgets.readouts.placed_readout import (
    ASYMMETRIC,
    MOST_ASYMMETRIC,
    MOST_OFF_CENTER,
    PlacedReadout,
)
from spokestream.gadgets.readouts.straight_line import DamagedSpokeError
from spokestream.gadgets.readouts.trajectory_units import unit_of_extent
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["ArmTrajectory"]

Real = NDArray[np.float64]

FARTHEST_FROM_CENTER = 1.0
"""Largest distance from k = 0, in cycles per field of view, of the sample that is closest to it."""
OFF_ARM, LEAST_OFF_ARM = 1 / 40, 2.0
"""Largest distance between a sample and its place on the rotated first arm, relative to the extent of k-space, or in
cycles per field of view. Delays and eddy currents of gradients give less, as for straight spokes."""
SPIKE = 8.0
"""Distance of a sample from both its neighbours, over the median distance of two samples, above which the sample is
damaged. The turns of an echo-planar image have at most one long step."""
LARGEST_STEP = 1.1
"""Largest step of a raster in cycles per field of view; with larger ones, the image is folded. Along an arm, larger
steps give a warning, because they are common at the end of arms only."""
STANDING = 0.25
"""Fraction of the samples that may lie at the place of the one before."""
WHOLE = 0.8
"""Length of a readout over that of one which covers k-space alone, with lines 1 cycle per field of view apart, above
which it is a whole image."""
BEYOND_EDGE = 0.5
"""Distance beyond the edge of k-space, in cycles per field of view, at which samples still count."""
BEYOND_CIRCLE = 0.1
"""Distance beyond the circle of k-space, relative to its radius, that arms and spirals have at most; corners of images
are farther away."""
MOST_UNLIKE = 8
"""If so many readouts in succession are unlike the first, and none is like it, the scan is refused at once."""
NAMES = {"image": ("epi", "cartesian", "spiral", "other"), "arm": ("spiral", "other")}
"""Names in an ISMRMRD header for scans whose readouts are whole images, or arms."""


class ArmTrajectory:
    """Gives the positions and the density of readouts that are rotations of the first one, or repeat it.

    The density is computed once, from the first readout: for arms as if arms of all directions covered k-space evenly,
    for a readout that covers k-space alone from its own samples.

    Args:
        scan: the scan.
        raw: (samples, 2 or 3) embedded trajectory of the first readout.
        first: the first readout.
        index: its index in the train.

    Raises DamagedSpokeError if the first readout cannot be right, and ScanError if the unit is unknown or the image
    would be folded.

    """

    def __init__(self, scan: ScanContext, raw: NDArray[np.float32], first: ismrmrd.Acquisition, index: int) -> None:
        self._scan = scan
        header = scan.header
        k = raw[:, :2].astype(np.float64)
        _check_course(k, index)
        unit, self._factors = unit_of_extent(header, k)
        k *= self._factors
        self._per_axis = header.recon_fov_mm[1] / header.recon_fov_mm[0]
        """Cycles per field of view along y that equal one cycle per field of view along x."""
        self._first = self._turnable(k)
        self._extent = float(np.abs(self._first).max())
        distance = np.abs(self._first)
        self.center = int(distance.argmin())
        """Index of the sample at k = 0."""
        if distance[self.center] > FARTHEST_FROM_CENTER:
            raise DamagedSpokeError(
                f"The embedded trajectory of readout {index} does not pass k = 0; the sample that is closest is "
                f"{distance[self.center]:.3g} cycles per field of view away from it."
            )
        steps = raster_steps(k)
        length = float(np.abs(np.diff(self._first)).sum())
        alone = self._edges[0] * self._edges[1] * (4 if steps else math.pi)
        self.whole = steps is not None or length * self._per_axis > WHOLE * alone
        """Whether a readout covers k-space alone."""
        ends_on_circle = self._extent <= (1 + BEYOND_CIRCLE) * self._radius
        self._turns = ends_on_circle and steps is None
        """Whether later readouts may be rotations of the first: no corner of k-space is turned out of the image."""
        self._density = self._density_of_first(k, steps)
        self._third = ThirdColumn()
        self._alike = self._unlike = 0
        self._describe(first, unit)

    @property
    def period_deg(self) -> float:
        """The angle after which an arm covers the same part of k-space again."""
        n = len(self._first)
        return 360.0 if min(self.center, n - 1 - self.center) < n / 8 else 180.0

    def of(self, raw: NDArray[np.float32] | None, readout: ismrmrd.Acquisition, index: int) -> PlacedReadout:
        """The positions of a readout's samples.

        Args:
            raw: its embedded trajectory, or None if it has none.
            readout: the readout.
            index: its index in the train.

        Raises DamagedSpokeError for positions that are not those of the first readout, turned by some angle, and
        ScanError if hardly any readout is like the first.

        """
        if raw is None or len(raw) != len(self._first):
            raise DamagedSpokeError(f"Readout {index} has no trajectory of {len(self._first)} samples like the others.")
        k = raw[:, :2].astype(np.float64) * self._factors
        z = self._turnable(k)
        product = np.vdot(self._first, z)
        bearing = float(np.angle(product)) if self._turns and np.isfinite(product) else 0.0
        off = float(np.abs(z - self._first * np.exp(1j * bearing)).max())
        if not off <= max(LEAST_OFF_ARM, OFF_ARM * self._extent):  # true for NaN as well
            self._unlike += 1
            sentence = (
                f"The embedded trajectory of readout {index} is not that of the first readout"
                f"{', turned by some angle' if self._turns else ''}: a sample is {off:.3g} cycles per field of view "
                "away from its place."
            )
            if self._alike <= 1 and self._unlike >= MOST_UNLIKE:
                raise ScanError(f"{sentence} This node reconstructs readouts of one shape.")
            raise DamagedSpokeError(sentence)
        self._alike += 1
        if raw.shape[1] == 3:
            self._third.check(raw[:, 2].astype(np.float64), self.center, index)
        return PlacedReadout(
            k=k.astype(np.float32),
            kept=slice(0, len(k)),
            center=self.center,
            bearing=None if self.whole else bearing,
            density=self._density,
        )

    @property
    def _radius(self) -> float:
        """The radius of the circle in the recon k-space, in cycles per field of view along x."""
        nx, ny, _ = self._scan.header.recon_matrix
        return min(nx, ny / self._per_axis) / 2

    @property
    def _edges(self) -> tuple[float, float]:
        """The edge of the recon k-space along x and y, in cycles per field of view."""
        nx, ny, _ = self._scan.header.recon_matrix
        return nx / 2, ny / 2

    def _turnable(self, k: Real) -> NDArray[np.complex128]:
        """The positions kx + i ky in cycles per field of view along x, from those in that of each axis."""
        x, y = k.T
        return np.asarray(x + 1j * y / self._per_axis)

    def _density_of_first(self, k: Real, steps: tuple[float, float] | None) -> NDArray[np.float32]:
        nx, ny, _ = self._scan.header.recon_matrix
        if steps is not None:
            if max(steps) > LARGEST_STEP:
                raise ScanError(
                    f"The lines of an image are {max(steps):.3g} cycles per field of view apart, so that images are "
                    "folded; this node reconstructs fully sampled images."
                )
            self._check_sides(k)
            area, how = np.full(len(k), steps[0] * steps[1]), "cells of a raster"
        elif self.whole:
            self._check_sides(k)
            area, how = density_of_one_readout(k, (ny, nx)), "iterated over one readout"
        else:
            equal = np.stack([self._first.real, self._first.imag], axis=-1)
            area, how = density_of_rotations(equal) * self._per_axis, "rotations of one arm"
        # samples beyond the edge would be aliased into the k-space of the image
        if self._turns:
            beyond = np.abs(self._first) > self._radius + BEYOND_EDGE
        else:
            beyond = np.any(np.abs(k) > np.array(self._edges) + BEYOND_EDGE, axis=1)
        self._scan.provenance["density"] = how
        return np.where(beyond, 0, area).astype(np.float32)

    def _check_sides(self, k: Real) -> None:
        """Check that a whole image covers k-space on both sides of k = 0. Raises ScanError if it does not."""
        sides = np.sort(np.abs([k.min(0), k.max(0)]), axis=0)
        fraction = float((sides[0] / sides[1]).min())
        if fraction < MOST_ASYMMETRIC:
            raise ScanError(
                f"The images cover {fraction:.0%} as much of k-space on one side of k = 0 as on the other; at least "
                f"{MOST_ASYMMETRIC:.0%} are needed."
            )
        if fraction < ASYMMETRIC:
            self._scan.log.warning(
                "The images cover %.0f %% as much of k-space on one side of k = 0 as on the other; errors of the maps "
                "are larger.", 100 * fraction,
            )  # fmt: skip

    def _describe(self, first: ismrmrd.Acquisition, unit: str) -> None:
        scan, given = self._scan, int(first.center_sample)
        name, kind = scan.header.trajectory, "image" if self.whole else "arm"
        what = "whole images" if self.whole else "arms that are turned from one to the next"
        scan.provenance["trajectory"], scan.provenance["trajectory_unit"] = "embedded", unit
        scan.log.info("Readouts are %s; the embedded trajectory is in %s.", what, unit)
        if name not in NAMES[kind]:
            scan.log.warning(
                "The header's trajectory is '%s', but the readouts are %s, as the embedded trajectory says.",
                name or "unknown", what,
            )  # fmt: skip
        step = float(np.median(np.abs(np.diff(self._first))))
        if step > LARGEST_STEP:
            scan.log.warning(
                "The samples of a readout are %.3g cycles per field of view apart; tissue may be folded into the "
                "image.", step,
            )  # fmt: skip
        if abs(self.center - given) > MOST_OFF_CENTER:
            scan.log.warning(
                "center_sample is %d, but the embedded trajectory passes k = 0 at sample %d, which is taken.",
                given, self.center,
            )  # fmt: skip


def _check_course(k: Real, index: int) -> None:
    """Raise DamagedSpokeError unless the samples (samples, 2) lie on a path that gradients can play."""
    if not np.isfinite(k).all():
        raise DamagedSpokeError(f"The trajectory of readout {index} holds values that are not finite.")
    steps = np.hypot(*np.diff(k, axis=0).T)
    if np.mean(steps <= 1e-6 * steps.max()) > STANDING:
        raise DamagedSpokeError(
            f"The embedded trajectory of readout {index} stays at one place for many samples; it was filled in partly."
        )
    padded = np.concatenate([steps[:1], steps, steps[-1:]])
    spikes = np.flatnonzero(np.minimum(padded[:-1], padded[1:]) > SPIKE * np.median(steps))
    if len(spikes):
        raise DamagedSpokeError(
            f"Sample {spikes[0]} of the embedded trajectory of readout {index} lies far away from those before and "
            "after it."
        )
