"""The positions of a readout's samples in k-space: embedded in the readout, or computed from the angle of a spoke."""

import math
from dataclasses import dataclass, replace

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.readouts.arms import ArmTrajectory
from spokestream.gadgets.readouts.embedded_columns import ThirdColumn, filled_columns
from spokestream.gadgets.readouts.flags import REVERSED
from spokestream.gadgets.readouts.placed_readout import (
    ASYMMETRIC,
    MOST_ASYMMETRIC,
    MOST_OFF_CENTER,
    PlacedReadout,
)
from spokestream.gadgets.readouts.sampling import (
    ReadoutSampling,
    covered_fraction,
    doubtful_center,
    doubtful_spacing,
    misfit_of_matrix,
    sample_at_center,
    sampling_of,
)
from spokestream.gadgets.readouts.straight_line import DamagedSpokeError, check_line, is_line, step_of
from spokestream.gadgets.readouts.trajectory_units import documented_extent, find_unit, spacing_of, units_of
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

__all__ = ["ReadoutTrajectory"]

RADIAL = ("radial", "goldenangle", "other")
"""Names of radial trajectories in an ISMRMRD header; "other" is accepted because embedded positions define it."""
NOTABLE_SAMPLES = 0.5
"""Difference between embedded and computed positions, in samples, above which a warning is given."""
SAME_SPACING = 0.1
"""Largest relative difference between the spacing of a spoke and that of the scan."""


@dataclass(frozen=True)
class _Reference:
    """What the first good spoke tells about all spokes."""

    sampling: ReadoutSampling
    factors: NDArray[np.float64] | None
    """From embedded coordinates to cycles per field of view; None if the trajectory is computed."""
    center_known: bool
    """Whether `center_sample` is right."""


class ReadoutTrajectory:
    """Gives the positions of every readout of a scan, and records once where they come from.

    The first embedded trajectory decides whether the readouts are straight spokes or have another shape.

    Args:
        scan: the scan.
        source: "auto" takes the embedded trajectory if there is one, otherwise golden angles; "angle" reads radians
            from `user_float[0]`; "golden" ignores embedded trajectories.

    """

    def __init__(self, scan: ScanContext, source: str = "auto") -> None:
        self._scan = scan
        self._source = source
        self._reference: _Reference | None = None
        self._arms: ArmTrajectory | None = None
        """The trajectory of readouts that are no straight spokes; None if they are."""
        self._golden = {1, -1}
        """Directions, relative to golden angles, that all embedded spokes have had."""
        self._third = ThirdColumn()
        self._completed = False

    @property
    def period_deg(self) -> float:
        """The angle after which a readout covers the same part of k-space again."""
        return self._arms.period_deg if self._arms else 180.0

    def of(self, readout: ismrmrd.Acquisition, index: int) -> PlacedReadout:
        """The positions of a readout's samples.

        Args:
            readout: the readout.
            index: its index in the train.

        Raises DamagedSpokeError for positions that this readout cannot have, and ScanError for a scan that cannot be
        reconstructed, has an unknown unit, or contradicts itself.

        """
        raw = filled_columns(readout) if self._source == "auto" else None
        if self._arms is not None:
            return self._arms.of(raw, readout, index)
        if raw is not None and self._reference is not None and not raw[:, :2].any():
            raw = None  # the room for a trajectory was not filled
        if self._reference is None:
            return self._first(readout, index, raw)
        if self._reference.factors is None:
            if raw is not None:
                self._check_against_computed(raw, readout, index)
            return self._computed(readout, index, self._reference)
        if raw is None:
            return self._complete(readout, index, self._reference)
        return self._embedded(raw, readout, index, self._reference)

    def _first(self, readout: ismrmrd.Acquisition, index: int, raw: NDArray[np.float32] | None) -> PlacedReadout:
        header = self._scan.header
        if raw is not None and not is_line(raw[:, :2].astype(np.float64)):
            arms = ArmTrajectory(self._scan, raw, readout, index)
            placed, self._arms = arms.of(raw, readout, index), arms
            return placed
        if raw is None:
            if self._source == "auto" and header.trajectory not in RADIAL:
                raise ScanError(
                    f"The scan's trajectory is '{header.trajectory or 'unknown'}', but the readouts have no embedded "
                    "trajectory; without one, they can only be golden-angle spokes: say so by trajectory=golden."
                )
            reference = self._computed_reference(readout)
            placed = self._computed(readout, index, reference)
        else:
            reference = self._embedded_reference(raw, readout, index)
            placed = self._embedded(raw, readout, index, reference)
        self._reference = reference
        self._describe(placed, reference, index)
        return placed

    def _computed_reference(self, readout: ismrmrd.Acquisition) -> _Reference:
        header, n_samples, given = self._scan.header, int(readout.number_of_samples), int(readout.center_sample)
        if given >= n_samples:
            raise DamagedSpokeError(f"center_sample {given} lies outside the {n_samples} samples of a readout.")
        center = sample_at_center(header, readout.data, given)
        if center != given:
            self._scan.log.warning(
                "center_sample is %d, which was never filled in; k = 0 is taken at sample %d of %d.",
                given, center, n_samples,
            )  # fmt: skip
        elif doubt := doubtful_center(readout.data, center):
            self._scan.log.warning("%s", doubt)
        sampling = sampling_of(header, n_samples, center)
        if misfit := misfit_of_matrix(sampling, header):
            raise ScanError(misfit)
        if doubt := doubtful_spacing(header, n_samples, center):
            self._scan.log.warning("%s", doubt)
        return _Reference(sampling, None, center == given)

    def _embedded_reference(self, raw: NDArray[np.float32], readout: ismrmrd.Acquisition, index: int) -> _Reference:
        header, n_samples, given = self._scan.header, int(readout.number_of_samples), int(readout.center_sample)
        k = np.asarray(raw[:, :2], np.float64)
        line = step_of(k, index)
        center = int(np.argmin(np.hypot(k[:, 0], k[:, 1])))
        check_line(k, line, center, index, header.trajectory)
        known = abs(center - given) <= MOST_OFF_CENTER
        if known:
            center = min(given, n_samples - 1)
        else:
            self._scan.log.warning(
                "center_sample is %d, but the embedded trajectory passes k = 0 at sample %d, which is taken.",
                given, center,
            )  # fmt: skip
        unit, misfit = None, None
        try:
            sampling = sampling_of(header, n_samples, center)
            misfit = misfit_of_matrix(sampling, header)
            unit = None if misfit else find_unit(header, line, sampling.spacing, self._scan.log)
        except ScanError as error:
            misfit = str(error)
            sampling = ReadoutSampling(n_samples, center, 1.0, slice(0, n_samples))
        if unit is None:
            extent = float(np.abs(k).max())
            unit = documented_extent(header, extent)
            if unit is None:
                expected = sampling.spacing * max(center, n_samples - 1 - center)
                known_units = ", ".join(f"{expected / f[0]:.4g} in {name}" for name, f in units_of(header).items())
                raise DamagedSpokeError(
                    misfit
                    or f"The embedded trajectory reaches {extent:.4g}, which fits none of the known units; the "
                    f"geometry of the header gives {known_units}."
                )
            sampling = replace(sampling, warnings=()).with_spacing(spacing_of(header, line * unit[1]), header)
            self._scan.log.warning(
                "The embedded trajectory reaches %.4g, the edge of k-space in %s, but the header's encodedSpace does "
                "not agree; the trajectory is used.", extent, unit[0],
            )  # fmt: skip
        self._scan.log.info("The embedded trajectory is in %s.", unit[0])
        self._scan.provenance["trajectory_unit"] = unit[0]
        return _Reference(sampling, unit[1], known)

    def _embedded(
        self, raw: NDArray[np.float32], readout: ismrmrd.Acquisition, index: int, reference: _Reference
    ) -> PlacedReadout:
        assert reference.factors is not None
        k = raw[:, :2].astype(np.float64) * reference.factors
        line = step_of(k, index)
        n_samples, center = len(k), int(readout.center_sample)
        near = MOST_OFF_CENTER * reference.sampling.spacing
        if center >= n_samples or abs(k[center, 0]) > near or abs(k[center, 1]) > near:
            center = int(np.argmin(np.hypot(k[:, 0], k[:, 1])))
        check_line(k, line, center, index, self._scan.header.trajectory)
        spacing = spacing_of(self._scan.header, line)
        if abs(spacing / reference.sampling.spacing - 1) > SAME_SPACING:
            raise DamagedSpokeError(
                f"The samples of spoke {index} are {spacing:.4g} cycles per field of view apart, those of the scan "
                f"{reference.sampling.spacing:.4g}."
            )
        if raw.shape[1] == 3:
            self._third.check(raw[:, 2].astype(np.float64), center, index)
        if self._golden:
            angle = _golden_angle(readout, index)
            expected = reference.sampling.spacing * np.array([math.cos(angle), math.sin(angle)]) * self._per_fov
            off = {s: np.abs(line - s * expected).max() * n_samples / 2 for s in self._golden}
            self._golden = {s for s, o in off.items() if o < reference.sampling.spacing}
        return self._placed(k, center, math.atan2(line[1], line[0]), reference)

    def _computed(
        self, readout: ismrmrd.Acquisition, index: int, reference: _Reference, direction: int = 1
    ) -> PlacedReadout:
        sampling, center = reference.sampling, int(readout.center_sample)
        mirrored = sampling.n_samples - 1 - sampling.center if readout.flags & REVERSED else sampling.center
        if not reference.center_known:
            center = sampling.center
        elif center not in (sampling.center, mirrored):
            raise DamagedSpokeError(f"center_sample is {center} in spoke {index} and {sampling.center} in others.")
        if self._source == "angle":
            angle = float(readout.user_float[0]) + (math.pi if readout.flags & REVERSED else 0)
        else:
            angle = _golden_angle(readout, index)
        if not math.isfinite(angle):
            raise DamagedSpokeError(f"The trajectory of spoke {index} holds values that are not finite.")
        if direction < 0:
            angle += math.pi
        return self._placed(self._spoke(angle, center, sampling), center, angle, reference)

    def _spoke(self, angle: float, center: int, sampling: ReadoutSampling) -> NDArray[np.float64]:
        k = radial_spokes(angle, sampling.n_samples, float(center), 1 / sampling.spacing)
        k[:, 1] *= self._per_fov[1]  # cycles per field of view in y, not in x
        return k

    @property
    def _per_fov(self) -> NDArray[np.float64]:
        """Cycles per field of view along x and y that equal one cycle per field of view along x."""
        fov = self._scan.header.recon_fov_mm
        return np.array([1.0, fov[1] / fov[0]])

    def _placed(self, k: NDArray[np.float64], center: int, bearing: float, reference: _Reference) -> PlacedReadout:
        sampling = reference.sampling
        kept = sampling.kept
        if center != sampling.center and kept != slice(0, sampling.n_samples):
            kept = replace(sampling, center=center).with_spacing(sampling.spacing, self._scan.header).kept
            if kept.stop - kept.start != sampling.kept.stop - sampling.kept.start:
                raise DamagedSpokeError(f"k = 0 lies at sample {center} of a spoke and at {sampling.center} of others.")
        return PlacedReadout(k[kept].astype(np.float32), kept, center, bearing, sampling.oversampling_removed)

    def _complete(self, readout: ismrmrd.Acquisition, index: int, reference: _Reference) -> PlacedReadout:
        """A spoke without trajectory among embedded ones: computed, if those follow the golden angle."""
        if len(self._golden) != 1:
            raise DamagedSpokeError(f"Spoke {index} has no trajectory, and the others do not follow the golden angle.")
        if not self._completed:
            self._completed = True
            self._scan.log.warning(
                "Some readouts have no embedded trajectory; they are taken as golden-angle spokes like the others."
            )
        (direction,) = self._golden
        return self._computed(readout, index, reference, direction)

    def _check_against_computed(self, raw: NDArray[np.float32], readout: ismrmrd.Acquisition, index: int) -> None:
        line = step_of(raw[:, :2].astype(np.float64), index)
        angle = _golden_angle(readout, index)
        if line @ [math.cos(angle), math.sin(angle)] < 0.999 * np.hypot(line[0], line[1]):
            raise ScanError(
                f"The first spokes had no embedded trajectory and were taken as golden-angle spokes, but spoke {index} "
                "has a trajectory of another direction."
            )

    def _describe(self, placed: PlacedReadout, reference: _Reference, index: int) -> None:
        log, header = self._scan.log, self._scan.header
        embedded = reference.factors is not None
        computed = {"angle": "angle in user_float[0]"}.get(self._source, "golden angle from the spoke's index")
        source = "embedded" if embedded else computed
        self._scan.provenance["trajectory"] = source
        log.info("The trajectory is taken as %s.", source)
        for sentence in reference.sampling.warnings:
            log.warning("%s", sentence)
        if header.trajectory not in RADIAL:
            log.warning(
                "The header's trajectory is '%s', but the spokes are radial, as %s says.",
                header.trajectory or "unknown", "the embedded trajectory" if embedded else "the setting 'trajectory'",
            )  # fmt: skip
        sides = sorted((placed.center - placed.kept.start, placed.kept.stop - 1 - placed.center))
        if sides[0] < MOST_ASYMMETRIC * sides[1]:
            raise ScanError(
                f"The echo is too asymmetric: {sides[0]} samples lie on one side of k = 0, {sides[1]} on the other. At "
                f"least {MOST_ASYMMETRIC:.0%} as many are needed on the shorter side, or errors grow by a quarter."
            )
        if sides[0] < ASYMMETRIC * sides[1]:
            log.warning(
                "The echo is asymmetric: %d samples lie on one side of k = 0, %d on the other; errors of the maps are "
                "larger.", *sides,
            )  # fmt: skip
        covered = covered_fraction(reference.sampling, header)
        if covered < 0.9:
            log.info(
                "The spokes cover %.0f %% of the k-space of the recon matrix; maps are interpolated.", 100 * covered
            )
        if embedded:
            nominal = self._spoke(float(golden_angles(index)), placed.center, reference.sampling)[placed.kept]
            samples = float(np.abs(placed.k - nominal).max()) / reference.sampling.spacing
            if samples > NOTABLE_SAMPLES:
                log.warning(
                    "The embedded trajectory differs from golden-angle spokes by up to %.1f samples; "
                    "it is used as it is.",
                    samples,
                )


def _golden_angle(readout: ismrmrd.Acquisition, index: int) -> float:
    return float(golden_angles(index)) + (math.pi if readout.flags & REVERSED else 0)
