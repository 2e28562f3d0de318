"""The unit of embedded trajectories: found from the distance of two samples, which the header's geometry determines."""

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.scan.header import ScanHeader

__all__ = ["documented_extent", "find_unit", "spacing_of", "unit_of_extent", "units_of"]

Factors = NDArray[np.float64]

DOCUMENTED = ("cycles per recon pixel", "cycles per field of view")
"""The units of our own files, which docs/conventions.md describes; they come first."""
DOCUMENTED_TOLERANCE = 0.1
"""Relative tolerance of the extent in a documented unit, if no other one fits: gradients are delayed, and echoes
asymmetric."""
TOLERANCE = 0.03
"""Relative tolerance in any unit; rounding, or a half sample of 96, is below it."""
CLOSE, ANY, ROUGH = range(3)
"""Ranks of units that fit: a documented one within `TOLERANCE`, another one, and a documented one beyond it."""
SAME_FACTOR = 0.005
"""Two units whose factors differ by less give the same maps."""


def units_of(header: ScanHeader) -> dict[str, Factors]:
    """The known units, as factors (x, y) from embedded coordinates to cycles per recon field of view."""
    fov = np.array(header.recon_fov_mm[:2])
    recon = np.array(header.recon_matrix[:2], float)
    encoded = fov * header.encoded_matrix[0] / header.encoded_fov_mm[0]
    units = {
        "cycles per recon pixel": recon,
        "cycles per field of view": np.ones(2),
        "cycles per encoded pixel": encoded,
        "1/m": fov / 1000,
        "1/mm": fov,
        "rad/m": fov / (2000 * np.pi),
        "rad/mm": fov / (2 * np.pi),
        "rad per recon pixel": recon / (2 * np.pi),
        "rad per encoded pixel": encoded / (2 * np.pi),
        "fractions of the edge of the recon k-space": recon / 2,
        "fractions of the edge of the encoded k-space": encoded / 2,
    }
    return units


def find_unit(
    header: ScanHeader, step: NDArray[np.float64], spacing: float, log: logging.Logger
) -> tuple[str, Factors] | None:
    """The unit in which two samples `step` (x, y) apart have the distance `spacing`; None if there is none.

    It warns if a documented unit, in which it would be a little longer or shorter, may be meant. Raises ScanError if
    two units fit equally well.

    Args:
        header: the header of the scan.
        step: difference of the embedded coordinates of two consecutive samples.
        spacing: the distance in cycles per recon field of view along x.
        log: the log of the scan.

    """
    found = _fitting(header, lambda factors: float(abs(np.log(spacing_of(header, step * factors) / spacing))))
    if not found:
        return None
    first, *others = found
    for rank, error, name, factors in others:
        if first[0] != ANY or np.allclose(factors, first[3], rtol=SAME_FACTOR):
            continue
        if rank == ROUGH:
            log.warning(
                "The embedded trajectory is taken to be in %s; if it is in %s, which differs by %.0f %%, the maps are "
                "wrong.", first[2], name, 100 * error,
            )  # fmt: skip
        else:
            raise ScanError(
                f"The unit of the embedded trajectory is ambiguous: {first[2]} and {name} both fit the header."
            )
    return first[2:]


def documented_extent(header: ScanHeader, extent: float) -> tuple[str, Factors] | None:
    """The documented unit in which a trajectory up to `extent` ends at the edge of the recon k-space, or None."""
    units = units_of(header)
    for name, edge in zip(DOCUMENTED, (0.5, max(header.recon_matrix[:2]) / 2), strict=True):
        if abs(extent / edge - 1) < DOCUMENTED_TOLERANCE:
            return name, units[name]
    return None


def unit_of_extent(header: ScanHeader, k: NDArray[np.float64]) -> tuple[str, Factors]:
    """The unit in which coordinates k (samples, 2) end at the circle, or at the square, of the recon k-space.

    Raises ScanError if there is none. Units of our own files come first.
    """
    edge = np.array(header.recon_matrix[:2]) / 2

    def error(factors: Factors) -> float:
        relative = np.abs(k) * factors / edge
        return float(min(abs(np.log(relative.max())), abs(np.log(np.hypot(*relative.T).max()))))

    if not (found := _fitting(header, error)):
        ends = ", ".join(f"{(edge / factors).max():.4g} in {name}" for name, factors in units_of(header).items())
        raise ScanError(
            f"The embedded trajectory reaches {np.hypot(*k.T).max():.4g}, which fits none of the known units; the edge "
            f"of the recon matrix is {ends}."
        )
    return found[0][2:]


def _fitting(header: ScanHeader, error_of: Callable[[Factors], float]) -> list[tuple[int, float, str, Factors]]:
    """The units that fit, best first: rank, relative error, name, and factors."""
    found = []
    for name, factors in units_of(header).items():
        error = error_of(factors)
        if (rank := _rank(name, error)) is not None:
            found.append((rank, error, name, factors))
    return sorted(found, key=lambda candidate: candidate[:2])


def _rank(name: str, error: float) -> int | None:
    """The rank of a unit with a relative error; None if it does not fit."""
    if error < TOLERANCE:
        return CLOSE if name in DOCUMENTED else ANY
    return ROUGH if name in DOCUMENTED and error < DOCUMENTED_TOLERANCE else None


def spacing_of(header: ScanHeader, step: NDArray[np.float64]) -> float:
    """The length of a step (x, y) in cycles per field of view, which differ between x and y, in those along x."""
    return float(np.hypot(step[0], step[1] * header.recon_fov_mm[0] / header.recon_fov_mm[1]))
