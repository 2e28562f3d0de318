"""Finds a phantom in the maps of a slice: the pose in which the maps are most like its reference values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize
from scipy.signal import fftconvolve

from spokestream.pipelines.acceptance.layouts.layout import Vial
from spokestream.pipelines.acceptance.placement.likeness import Sums, together
from spokestream.pipelines.acceptance.placement.pose import PixelGrid, Pose, centres_mm
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["FEWEST_VIALS", "Found", "find"]

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

FEWEST_VIALS = 3
"""Least number of vials with a reference value of a map by which they are found; a mirrored pose fits two as well."""
STEP_OF_RADIUS = 0.6
"""Fraction of a vial's radius by which the outermost vial moves from one angle of the search to the next."""
MOST_SEARCHED = 30
"""Number of vials with which the search is done; more are only used for the refinement."""
CANDIDATES = 4
"""Number of the best poses of the search that are refined."""
RINGS, SPOKES = 3, 8
"""Points in a circle at which the maps are read for the refinement: rings of equal area, and points on each ring."""
OVER_THE_RIM = 1.15
"""Size, relative to the vials, of the circles that are centred on them at the end. Smaller circles can move while they
stay within the vials. In simulated scans of 2.3 mm pixels, the circles then lay within 0.9 mm of the vials, and the
size was found to 1.2 %."""
ROUGH, FINE = {"xatol": 2e-2, "fatol": 1e-4}, {"xatol": 2e-3, "fatol": 1e-6}
"""Tolerances of the refinement: of steps, in halves of a radius, and of the likeness."""
LARGEST_MISFIT = 0.05
"""Largest deviation of the size of a phantom from that of its layout; gradients are calibrated to better than 2 %."""


@dataclass(frozen=True)
class Found:
    """The best pose of a layout in a slice."""

    pose: Pose
    likeness: float
    """See `spokestream.pipelines.acceptance.placement.likeness`."""
    rival: float
    """Largest likeness of a pose that puts some vials in other places."""


@dataclass(frozen=True)
class _Map:
    """One map as it is compared: a value and a weight in every voxel, and the reference values of the vials."""

    values: Float
    """(y, x), the logarithm where the quantity is shown on a logarithmic scale; 0 where the map has no meaning."""
    valid: Float
    """(y, x), 1 where the map has a meaning."""
    reference: Float
    """(vials,), on the same scale; NaN for vials that do not count in this map."""


def find(
    maps: Mapping[str, NDArray[np.float32]],
    valid: Mapping[str, Mask],
    vials: Sequence[Vial],
    references: Sequence[Mapping[str, float]],
    grid: PixelGrid,
) -> Found | None:
    """The best pose of the vials in a slice; None if their values cannot place them, or the picture is too small.

    Args:
        maps: name -> (y, x) in the unit of the map.
        valid: name -> (y, x), where the map has a meaning.
        vials: all vials of the layout.
        references: of every vial, the values that the maps can show, by name of a map.
        grid: the pixels of the slice.

    """
    compared = [one for name in maps if (one := _compared(name, maps[name], valid[name], references)) is not None]
    if not compared:
        return None
    centres, radii = centres_mm(vials), np.array([vial.radius_mm for vial in vials])
    inner = np.maximum(radii - max(grid.pixel_mm) / 2, radii / 2)  # voxels on the rim hold a mixture
    coarse = _search(compared, centres, inner, grid)
    if not coarse:
        return None
    refined = [_refine(compared, centres, inner, grid, start, ROUGH) for start in coarse]
    refined.sort(key=lambda one: -one[1])
    pose, likeness = refined[0]
    pose, _ = _refine(compared, centres, OVER_THE_RIM * radii, grid, pose, FINE)
    others = [other for other in refined[1:] if _apart(pose, other[0], centres) > radii.min()]
    return Found(pose, likeness, others[0][1] if others else 0.0)


def _compared(
    name: str, values: NDArray[np.float32], valid: Mask, references: Sequence[Mapping[str, float]]
) -> _Map | None:
    """The map as it is compared; None if it has too few vials, or all of them have one value."""
    reference = np.array([vial.get(name, np.nan) for vial in references])
    given = reference[np.isfinite(reference)]
    if len(given) < FEWEST_VIALS or np.ptp(given) == 0:
        return None
    usable = valid & np.isfinite(values)
    scaled = values.astype(np.float64)
    if QUANTITIES[name].logarithmic:
        usable &= values > 0
        scaled, reference = np.log(np.where(usable, scaled, 1)), np.log(reference)
    return _Map(np.where(usable, scaled, 0), usable.astype(np.float64), reference)


def _search(maps: Sequence[_Map], centres: Float, radii: Float, grid: PixelGrid) -> list[Pose]:
    """The best poses that differ, best first: one of an angle at most, with shifts by whole pixels.

    The centres of all vials lie in the picture; there is no pose if the picture is too small.
    """
    coarser = max(1, int(radii.min() / 3 // max(grid.pixel_mm)))
    if coarser > 1:
        height, width = grid.pixel_mm
        maps = [_reduced(one, coarser) for one in maps]
        rows, columns = maps[0].values.shape
        grid = PixelGrid(rows, columns, (height * coarser, width * coarser))
    prepared = [_Disks(one, radii, grid) for one in maps]
    farthest = max(float(np.hypot(*centres.T).max()), 1.0)
    n_angles = int(np.ceil(2 * np.pi * farthest / (STEP_OF_RADIUS * radii.min())))
    y_mm, x_mm = grid.axes_mm()
    best = []
    for mirrored in (False, True):
        for angle in 360 * np.arange(n_angles) / n_angles:
            offsets = grid.offsets(Pose(angle_deg=float(angle), mirrored=mirrored).place(centres))
            # all centres lie in the picture
            first = np.maximum(-offsets.min(1), 0)
            last = np.array([grid.rows, grid.columns]) - np.maximum(offsets.max(1), 0)
            if np.any(first >= last):
                continue
            middles = slice(first[0], last[0]), slice(first[1], last[1])
            score = together([disks.likeness(offsets, middles) for disks in prepared])
            row, column = first + np.unravel_index(int(score.argmax()), score.shape)
            pose = Pose(float(x_mm[column]), float(y_mm[row]), float(angle), mirrored)
            best.append((float(score.max()), pose))
    best.sort(key=lambda one: -one[0])
    chosen: list[Pose] = []
    for _, pose in best:
        if all(_apart(pose, other, centres) > 2 * radii.min() for other in chosen):
            chosen.append(pose)
        if len(chosen) == CANDIDATES:
            break
    return chosen


class _Disks:
    """Sums over circles around every pixel of a map, from which those over all circles of a pose are added up."""

    def __init__(self, one: _Map, radii: Float, grid: PixelGrid) -> None:
        self._reference, self._radii = one.reference, radii
        given = np.flatnonzero(np.isfinite(one.reference))
        self._counted = given[:: -(-len(given) // MOST_SEARCHED)]
        self._sums: dict[float, tuple[float, Float]] = {}
        for radius in np.unique(radii[self._counted]):
            kernel = _disk(radius, grid)
            layers = (one.valid, one.values * one.valid, one.values**2 * one.valid)
            sums = np.stack([fftconvolve(layer, kernel, mode="same") for layer in layers])
            self._sums[radius] = float(kernel.sum()), sums

    def likeness(self, offsets: NDArray[np.intp], middles: tuple[slice, slice]) -> Float:
        """The likeness with the middle of the vials at each of some pixels, the vials so many rows and columns away.

        Args:
            offsets: (2, vials).
            middles: the rows and the columns of the middle; with the offsets, all lie in the picture.

        """
        rows, columns = middles
        n, m, mm, v, vv, mv = np.zeros((6, rows.stop - rows.start, columns.stop - columns.start))
        area = 0.0
        for i in self._counted:
            disk, sums = self._sums[self._radii[i]]
            down, right = offsets[:, i]
            count, total, squares = sums[
                :, rows.start + down : rows.stop + down, columns.start + right : columns.stop + right
            ]
            value = self._reference[i]
            area += disk
            n += count
            m += total
            mm += squares
            v += value * count
            vv += value**2 * count
            mv += value * total
        return Sums(area, n, m, mm, v, vv, mv).likeness()


def _refine(
    maps: Sequence[_Map], centres: Float, radii: Float, grid: PixelGrid, start: Pose, tolerance: dict[str, float]
) -> tuple[Pose, float]:
    """The pose of the largest likeness near another one, and its likeness."""
    points = _points(radii)
    scale = np.array([radii.min() / 2, radii.min() / 2, np.rad2deg(radii.min() / 2 / np.hypot(*centres.T).max()), 0.02])
    origin = np.array([start.x_mm, start.y_mm, start.angle_deg, start.size])

    def pose(step: Float) -> Pose:
        x, y, angle, size = origin + step * scale
        size = 1 + LARGEST_MISFIT * np.tanh((size - 1) / LARGEST_MISFIT)
        return Pose(float(x), float(y), float(angle), start.mirrored, float(size))

    def loss(step: Float) -> float:
        return -_likeness_at(maps, pose(step).place(centres)[:, None, :] + points, grid)

    corners = np.vstack([np.zeros(4), np.eye(4)])
    found = minimize(loss, np.zeros(4), method="Nelder-Mead", options={"initial_simplex": corners, **tolerance})
    best = pose(found.x)
    turned = (best.angle_deg + 180) % 360 - 180
    return Pose(best.x_mm, best.y_mm, turned, best.mirrored, best.size), -float(found.fun)


def _likeness_at(maps: Sequence[_Map], places: Float, grid: PixelGrid) -> float:
    """The likeness of all maps with the circles' points (vials, points, 2) at these places in mm."""
    at = grid.indices(places)
    scores = []
    for one in maps:
        counted = np.isfinite(one.reference)
        there = at[:, counted]
        weight = map_coordinates(one.valid, there, order=1, cval=0.0)
        total = map_coordinates(one.values * one.valid, there, order=1, cval=0.0)
        value = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
        reference = np.broadcast_to(one.reference[counted, None], weight.shape)
        sums = Sums(
            float(weight.size),
            *(
                np.asarray((weight * factor).sum())
                for factor in (1.0, value, value**2, reference, reference**2, value * reference)
            ),
        )
        scores.append(sums.likeness())
    return float(together(scores))


def _points(radii: Float) -> Float:
    """Points (vials, points, 2) that cover the circles evenly, relative to their centres."""
    r, angle = np.sqrt((np.arange(RINGS) + 0.5) / RINGS), 2 * np.pi * np.arange(SPOKES) / SPOKES
    unit = np.stack([np.outer(r, np.cos(angle)), np.outer(r, np.sin(angle))], axis=-1).reshape(-1, 2)
    return np.asarray(radii[:, None, None] * unit)


def _disk(radius_mm: float, grid: PixelGrid) -> Float:
    """A circle as a mask with odd numbers of rows and columns."""
    half = [int(np.ceil(radius_mm / length)) for length in grid.pixel_mm]
    y, x = (np.arange(-h, h + 1) * length for h, length in zip(half, grid.pixel_mm, strict=True))
    return np.asarray(np.hypot(y[:, None], x[None, :]) <= radius_mm, np.float64)


def _reduced(one: _Map, factor: int) -> _Map:
    """Every n-th voxel to both sides of the middle one, which stays the middle."""
    part = tuple(slice(n // 2 - (n - 1 - n // 2) // factor * factor, None, factor) for n in one.values.shape)
    return _Map(one.values[part], one.valid[part], one.reference)


def _apart(one: Pose, other: Pose, centres: Float) -> float:
    """The largest distance in mm between the places of one vial in two poses."""
    return float(np.linalg.norm(one.place(centres) - other.place(centres), axis=1).max())
