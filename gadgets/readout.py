"""Readouts become spokes, one slice after another; irregularities are counted in the scan's ledger."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import ismrmrd
import numpy as np

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Geometry, LeftOut, SliceEnd, Spoke
from spokestream.gadgets.readouts.angular_coverage import AngularCoverage
from spokestream.gadgets.readouts.counters import difference, distinguishing, refuse_partition
from spokestream.gadgets.readouts.demodulation import check_dwell, demodulate
from spokestream.gadgets.readouts.flags import ENDS_SLICE, UNKNOWN, is_imaging, names_of, rejecting_flags
from spokestream.gadgets.readouts.orientation import SliceOrientation
from spokestream.gadgets.readouts.oversampling import restore_oversampling
from spokestream.gadgets.readouts.straight_line import DamagedSpokeError
from spokestream.gadgets.readouts.trajectory import ReadoutTrajectory
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["Readout"]

LARGEST_SAMPLE = 1e34
"""Samples must be smaller, or their sums overflow in single precision. No receiver gives such values."""
MOST_UNPLACED = 8
"""If so many spokes in succession have no possible trajectory, and none has one, the scan is refused at once."""


@dataclass
class _OpenSlice:
    """The slice whose spokes are being received."""

    number: int
    geometry: Geometry
    shape: tuple[int, ...]
    """(coils, samples) of the slice's first readout, which all its readouts must have."""
    counters: tuple[int, ...]
    """The counters of the slice's first readout that distinguish repeated spokes; see `distinguishing`."""
    seen: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Indices in the train of the spokes that have come, with these counters."""
    measurements: set[tuple[int, int]] = field(default_factory=set)
    """The averages and repetitions that its readouts name."""
    coverage: AngularCoverage = field(default_factory=AngularCoverage)
    highest: int = -1

    def ends_before(self, readout: ismrmrd.Acquisition) -> bool:
        """Whether the train has begun anew in another average or repetition, which must not fill gaps."""
        index = int(readout.idx.kspace_encode_step_1)
        return index < self.highest and _measurement(readout) not in self.measurements


def _measurement(readout: ismrmrd.Acquisition) -> tuple[int, int]:
    return readout.idx.average, readout.idx.repetition


class _MeasuredTwiceError(ScanError):
    def __init__(self, index: int, number: int, counters: str) -> None:
        super().__init__(
            f"Spoke {index} of slice {number + 1} was measured several times ({counters}), which this node does not "
            "combine; send one measurement."
        )


class Readout(Gadget[ismrmrd.Acquisition | LeftOut, Spoke | SliceEnd]):
    """Adds the positions in k-space to every imaging readout, and marks the end of every slice.

    Args:
        scan: the scan.
        trajectory: source of the positions; see `ReadoutTrajectory`.
        max_missing: largest fraction of a slice's spokes that may be missing or damaged.
        demodulation_hz: receiver frequency during the readout, counted downwards from water; see `demodulate`.

    """

    accepts = (ismrmrd.Acquisition, LeftOut)

    def __init__(
        self, scan: ScanContext, trajectory: str = "auto", max_missing: float = 0.1, demodulation_hz: float = 0.0
    ) -> None:
        self._scan = scan
        self._trajectory = ReadoutTrajectory(scan, trajectory)
        self._orientation = SliceOrientation(scan)
        self._angles_from_header = trajectory == "angle"
        self._unplaced: int | None = 0
        """Number of spokes without a possible trajectory; None as soon as one has a trajectory."""
        self._max_missing = max_missing
        self.demodulation_hz = demodulation_hz
        self._slice: _OpenSlice | None = None
        self._ended: set[int] = set()
        self._late: Counter[int] = Counter()
        self._later_measurements: Counter[str] = Counter()
        self._counters: dict[int, tuple[int, ...]] = {}
        self._left_out: Counter[int] = Counter()
        self._unknown_flags = 0
        self._foreign_encodings = 0
        self._last_counter: int | None = None
        self._coils: int | None = None

    def feed(self, message: ismrmrd.Acquisition | LeftOut, /) -> Iterator[Spoke | SliceEnd]:
        """Take one readout. Yields its spoke, if the readout is one, and the end of a slice."""
        gap = 0 if self._last_counter is None else int(message.scan_counter) - self._last_counter - 1
        self._last_counter = int(message.scan_counter)
        if isinstance(message, LeftOut):
            return
        if not is_imaging(message):
            self._left_out[message.flags] += 1
            return
        self._unknown_flags |= message.flags & UNKNOWN
        if message.encoding_space_ref >= self._scan.header.n_encodings:
            self._foreign_encodings += 1
        refuse_partition(message)
        number = int(message.idx.slice)
        if number in self._ended:
            self._count_late(message, number)
            return
        if self._slice is not None and number != self._slice.number:
            yield self._end(self._slice)
        if self._slice is not None and self._slice.ends_before(message):
            self._refuse_if_incomplete(message, self._slice)
            yield self._end(self._slice)
            self._count_late(message, number)
            return
        if self._slice is None:
            self._check_coils(message, number)
            geometry = self._orientation.of(message)
            self._slice = _OpenSlice(number, geometry, tuple(message.data.shape), distinguishing(message))
        current = self._slice
        if gap > 0:
            self._scan.integrity.note(number, "counter_gaps", f"the scan counter jumps over {gap} readouts")
        current.measurements.add(_measurement(message))
        spoke = self._spoke(message, current)
        if spoke is not None:
            yield spoke
        # scanners flag the last readout even if it is damaged
        if message.flags & ENDS_SLICE or len(current.seen) == len(self._scan.sequence):
            yield self._end(current)

    def finish(self) -> Iterator[SliceEnd]:
        """End the current slice, because the scan has ended. Raises ScanError if there was no spoke at all."""
        if self._slice is not None:
            yield self._end(self._slice)
        for number, n in sorted(self._late.items()):
            self._scan.log.warning("Slice %d: %d spokes came after its end and were left out.", number + 1, n)
        if measured := self._later_measurements:
            (counters, _), n_others = measured.most_common(1)[0], len(measured) - 1
            self._scan.log.warning(
                "%d spokes were left out because they measure a slice again (%s%s); maps show the first measurement.",
                measured.total(), counters, f", and {n_others} others" if n_others else "",
            )  # fmt: skip
        if self._left_out:
            self._scan.log.info("Readouts that are no spokes: %s.", rejecting_flags(self._left_out))
        if self._foreign_encodings:
            self._scan.log.warning(
                "%d spokes name an encoding that the header does not have; its encoding %d was used.",
                self._foreign_encodings, self._scan.header.encoding + 1,
            )  # fmt: skip
        if self._unknown_flags:
            self._scan.log.warning(
                "Readouts have flags without a meaning, which were ignored: %s.",
                ", ".join(names_of(self._unknown_flags)),
            )
        if not self._ended:
            raise ScanError("The scan held no spokes.")

    def _end(self, current: _OpenSlice) -> SliceEnd:
        ledger, number = self._scan.integrity, current.number
        n_spokes = len(self._scan.sequence)
        missing = n_spokes - len(current.seen)
        if missing:
            ledger.note(number, "missing", f"{missing} of {n_spokes} spokes are missing", missing)
        if missing > self._max_missing * n_spokes:
            raise ScanError(
                f"Slice {number + 1}: {missing} of {n_spokes} spokes are missing or damaged "
                f"({ledger.words(number)}), more than the {self._max_missing:.0%} that can be left out."
            )
        current.coverage.check(
            number, angles_from_header=self._angles_from_header, period_deg=self._trajectory.period_deg
        )
        if words := ledger.words(number):
            self._scan.log.warning("Slice %d was reconstructed with irregular spokes: %s.", number + 1, words)
        self._ended.add(number)
        self._counters[number] = current.counters
        self._slice = None
        return SliceEnd(number, current.geometry)

    def _spoke(self, readout: ismrmrd.Acquisition, current: _OpenSlice) -> Spoke | None:
        index = int(readout.idx.kspace_encode_step_1)
        if not self._is_usable(readout, index, current):
            return None
        try:
            placed = self._trajectory.of(readout, index)
        except DamagedSpokeError as error:
            if self._unplaced is not None:
                self._unplaced += 1
                if self._unplaced >= MOST_UNPLACED:
                    raise
            self._scan.integrity.note(current.number, "damaged_trajectory", str(error).rstrip("."))
            return None
        if self._unplaced is not None:
            self._unplaced = None
            self._check_dwell(readout)
        current.seen[index] = distinguishing(readout)
        if placed.bearing is not None:
            current.coverage.add(index, placed.bearing)
        data = demodulate(
            readout.data[:, placed.kept],
            self.demodulation_hz,
            readout.sample_time_us,
            placed.center - placed.kept.start,
        )
        k, steps = placed.k, np.arange(data.shape[1]) + placed.kept.start - placed.center
        if placed.oversampling_removed:
            data, k = restore_oversampling(data, k, placed.center - placed.kept.start)
            steps = np.arange(2 * len(steps) - 1) / 2 + steps[0]
        time_us = (readout.sample_time_us * steps).astype(np.float32) if readout.sample_time_us else None
        return Spoke(data, k, index, current.number, current.geometry, placed.density, time_us)

    def _check_coils(self, first: ismrmrd.Acquisition, number: int) -> None:
        """Raise ScanError if a slice begins with another number of coils than the slices before."""
        n_coils = int(first.active_channels)
        if self._coils is not None and n_coils != self._coils:
            raise ScanError(
                f"Slice {number + 1} has {n_coils} coils and the slices before have {self._coils}, so that they do not "
                "share noise and coil combination; send them as scans of their own."
            )
        self._coils = n_coils

    def _refuse_if_incomplete(self, again: ismrmrd.Acquisition, current: _OpenSlice) -> None:
        """Raise ScanError if a second measurement of a slice begins before the first one is complete enough."""
        n_spokes = len(self._scan.sequence)
        if n_spokes - len(current.seen) > self._max_missing * n_spokes:
            counters = difference(current.counters, distinguishing(again))
            raise _MeasuredTwiceError(int(again.idx.kspace_encode_step_1), current.number, counters)

    def _check_dwell(self, first: ismrmrd.Acquisition) -> None:
        shortest_tr_ms = float(self._scan.sequence.tr_ms.min())
        warning = check_dwell(first.sample_time_us, first.number_of_samples, shortest_tr_ms)
        if warning and self.demodulation_hz:
            self._scan.log.warning("%s", warning)

    def _is_usable(self, readout: ismrmrd.Acquisition, index: int, current: _OpenSlice) -> bool:
        """Count irregularities; False if the readout must be left out."""
        shape, n_spokes = tuple(readout.data.shape), len(self._scan.sequence)

        def note(kind: str, sentence: str) -> None:
            self._scan.integrity.note(current.number, kind, sentence)

        if shape != current.shape:
            note(
                "changed_shape",
                f"spoke {index} has {shape[0]} coils and {shape[1]} samples instead of "
                f"{current.shape[0]} and {current.shape[1]}",
            )
            return False
        if 0 in shape or not 0 <= readout.sample_time_us < np.inf:
            raise ScanError(
                f"Spoke {index} has {shape[0]} coils, {shape[1]} samples, {readout.sample_time_us} us apart."
            )
        if index >= n_spokes:
            raise ScanError(
                f"Spoke {index} lies outside the sequence '{self._scan.sequence.name}', which has {n_spokes} spokes."
            )
        if index in current.seen:
            if counters := difference(current.seen[index], distinguishing(readout)):
                raise _MeasuredTwiceError(index, current.number, counters)
            note("duplicate", f"spoke {index} came twice")
            return False
        if index < current.highest:
            note("out_of_order", f"spoke {index} came after spoke {current.highest}")
        current.highest = max(current.highest, index)
        if not np.abs(readout.data).max() < LARGEST_SAMPLE:  # true for NaN as well
            note("not_finite", f"spoke {index} holds values that are not finite")
            return False
        return True

    def _count_late(self, readout: ismrmrd.Acquisition, number: int) -> None:
        if counters := difference(self._counters[number], distinguishing(readout)):
            self._later_measurements[counters] += 1
        else:
            self._late[number] += 1
        self._scan.integrity.note(number, "late", "a spoke came after its end")
