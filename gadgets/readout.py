"""Readouts to spokes: where in k-space each sample lies, and whether the scan is whole."""

from collections import Counter
from collections.abc import Iterator

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Geometry, SliceEnd, Spoke
from spokestream.gadgets.readouts.flags import is_imaging
from spokestream.gadgets.scan.header import ScanContext
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

__all__ = ["Readout", "demodulate", "embedded_trajectory"]

LARGEST_SAMPLE = 1e15
"""Larger ones would overflow when squared in single precision; no receiver gives them."""


class Readout(Gadget[ismrmrd.Acquisition, Spoke | SliceEnd]):
    """Resolves the trajectory, watches the integrity of every slice and says when a slice has ended.

    Args:
        trajectory: "auto" takes the embedded trajectory, else golden angles; "angle" reads radians from
            `user_float[0]`; "golden" ignores what is embedded.
        integrity: "strict" fails at the first irregularity, "warn" counts it and goes on.
        max_missing: largest share of a slice's spokes that may be missing or damaged in "warn".
        demodulation_hz: receiver frequency during the readout, below water's; see `demodulate`.

    """

    accepts = (ismrmrd.Acquisition,)

    def __init__(
        self,
        trajectory: str = "auto",
        integrity: str = "warn",
        max_missing: float = 0.1,
        demodulation_hz: float = 0.0,
    ) -> None:
        self.demodulation_hz = demodulation_hz
        self.trajectory = trajectory
        self.strict = integrity == "strict"
        self.max_missing = max_missing

    def start(self, scan: ScanContext) -> None:
        """Refuse scans that are not radial."""
        if scan.header.trajectory not in ("radial", "goldenangle", "other"):
            raise ScanError(
                f"The scan's trajectory is '{scan.header.trajectory or 'unknown'}'; this pipeline reconstructs "
                "golden-angle radial spokes."
            )
        self._scan = scan
        self._slice: int | None = None
        self._ended: set[int] = set()
        self._late: Counter[int] = Counter()
        self._last_counter: int | None = None
        self._source = ""

    def feed(self, message: ismrmrd.Acquisition, /) -> Iterator[Spoke | SliceEnd]:
        """One readout; yields its spoke if it is one, and the end of a slice."""
        gap = 0 if self._last_counter is None else int(message.scan_counter) - self._last_counter - 1
        self._last_counter = int(message.scan_counter)
        if not is_imaging(message):
            return
        number = int(message.idx.slice)
        if number in self._ended:
            self._count_late(number)
            return
        if self._slice is not None and number != self._slice:
            yield self._end_slice()
        if self._slice is None:
            self._begin_slice(message)
        if gap > 0:
            self._note("counter_gaps", f"the scan counter jumps over {gap} readouts")
        spoke = self._spoke(message)
        if spoke is not None:
            yield spoke
        # scanners flag the last readout also when it is damaged
        last = message.is_flag_set(ismrmrd.ACQ_LAST_IN_SLICE) or message.is_flag_set(ismrmrd.ACQ_LAST_IN_MEASUREMENT)
        if last or len(self._seen) == len(self._scan.sequence):
            yield self._end_slice()

    def finish(self) -> Iterator[SliceEnd]:
        """The scan ended, and with it the slice under way."""
        if self._slice is not None:
            yield self._end_slice()
        for number, n in sorted(self._late.items()):
            self._scan.log.warning("Slice %d: %d spokes came after its end and were left out.", number + 1, n)
        if not self._ended:
            raise ScanError("The scan held no spokes.")

    def _begin_slice(self, first: ismrmrd.Acquisition) -> None:
        self._slice = int(first.idx.slice)
        self._seen: set[int] = set()
        self._trouble: Counter[str] = Counter()
        self._highest = -1
        self._shape: tuple[int, int] | None = None
        self._geometry = _geometry(first, self._scan.header.recon_fov_mm)

    def _end_slice(self) -> SliceEnd:
        assert self._slice is not None
        n_spokes = len(self._scan.sequence)
        missing = n_spokes - len(self._seen)
        if missing:
            self._trouble["missing"] = missing
            self._refuse_if_strict(f"{missing} of {n_spokes} spokes are missing")
        if missing > self.max_missing * n_spokes:
            raise ScanError(
                f"Slice {self._slice + 1}: {missing} of {n_spokes} spokes are missing or damaged "
                f"({_counts(self._trouble)}), more than the {self.max_missing:.0%} that can be left out."
            )
        if self._trouble:
            self._scan.log.warning(
                "Slice %d was reconstructed with irregular spokes: %s.", self._slice + 1, _counts(self._trouble)
            )
        end = SliceEnd(self._slice, self._geometry, dict(sorted(self._trouble.items())))
        self._ended.add(self._slice)
        self._slice = None
        return end

    def _spoke(self, readout: ismrmrd.Acquisition) -> Spoke | None:
        index = int(readout.idx.kspace_encode_step_1)
        if not self._is_sound(readout, index):
            return None
        self._seen.add(index)
        k = self._k(readout, index)
        data = demodulate(readout.data, self.demodulation_hz, readout.sample_time_us, readout.center_sample)
        assert self._slice is not None
        return Spoke(data, k, index, self._slice, self._geometry)

    def _is_sound(self, readout: ismrmrd.Acquisition, index: int) -> bool:
        """Count what is irregular; False when the readout must be left out."""
        shape = tuple(readout.data.shape)
        if 0 in shape or not 0 <= readout.sample_time_us < np.inf:
            raise ScanError(
                f"Spoke {index} has {shape[0]} coils, {shape[1]} samples, {readout.sample_time_us} us apart."
            )
        if self._shape is None:
            self._shape = shape
        if shape != self._shape:
            self._note(
                "changed_shape",
                f"spoke {index} has {shape[0]} coils and {shape[1]} samples instead of "
                f"{self._shape[0]} and {self._shape[1]}",
            )
            return False
        if index >= len(self._scan.sequence):
            raise ScanError(
                f"Spoke {index} lies outside the sequence '{self._scan.sequence.name}', which has "
                f"{len(self._scan.sequence)} spokes."
            )
        if index in self._seen:
            self._note("duplicate", f"spoke {index} came twice")
            return False
        if index < self._highest:
            self._note("out_of_order", f"spoke {index} came after spoke {self._highest}")
        self._highest = max(self._highest, index)
        if not np.abs(readout.data).max() < LARGEST_SAMPLE:  # nor is NaN
            self._note("not_finite", f"spoke {index} holds values that are not finite")
            return False
        return True

    def _note(self, kind: str, sentence: str) -> None:
        self._trouble[kind] += 1
        self._refuse_if_strict(sentence)

    def _refuse_if_strict(self, sentence: str) -> None:
        if self.strict:
            assert self._slice is not None
            raise ScanError(f"Slice {self._slice + 1}: {sentence}, and integrity is set to strict.")

    def _count_late(self, number: int) -> None:
        self._late[number] += 1
        if self.strict:
            raise ScanError(f"Slice {number + 1}: a spoke came after its end, and integrity is set to strict.")

    def _k(self, readout: ismrmrd.Acquisition, index: int) -> NDArray[np.float32]:
        n_samples, header = readout.number_of_samples, self._scan.header
        if not 0 <= readout.center_sample < n_samples:
            raise ScanError(f"center_sample {readout.center_sample} lies outside the {n_samples} samples of a readout.")
        embedded = self.trajectory == "auto" and readout.trajectory_dimensions in (2, 3)
        angle = float(readout.user_float[0]) if self.trajectory == "angle" else float(golden_angles(index))
        computed = radial_spokes(angle, n_samples, float(readout.center_sample), header.oversampling)
        computed[:, 1] *= header.recon_fov_mm[1] / header.recon_fov_mm[0]  # of another field of view, other cycles
        k = embedded_trajectory(readout.traj, header.recon_matrix[:2]) if embedded else computed
        single = k.astype(np.float32)
        if not np.isfinite(single).all():
            raise ScanError(f"The trajectory of spoke {index} holds values that are not finite.")
        if not self._source:
            self._describe(embedded, float(np.abs(k - computed).max()) * header.oversampling)
        return single

    def _describe(self, embedded: bool, deviation_samples: float) -> None:
        sources = {"angle": "angle in user_float[0]"}
        self._source = "embedded" if embedded else sources.get(self.trajectory, "golden angle from the spoke's index")
        self._scan.provenance["trajectory"] = self._source
        self._scan.log.info("The trajectory is taken as %s.", self._source)
        if embedded and deviation_samples > 0.5:
            self._scan.log.warning(
                "The embedded trajectory differs from golden-angle spokes by up to %.1f samples; it is used as it is.",
                deviation_samples,
            )


def demodulate(
    data: NDArray[np.complex64], frequency_hz: float, dwell_us: float, center_sample: float
) -> NDArray[np.complex64]:
    """Turn the phase back that a spin `frequency_hz` below water gathers along the readout; none at k = 0.

    During a readout fat runs ahead of water by some 400 Hz, which blurs it by about a pixel. With the receiver midway
    between the two, each is blurred by half of that, and errors that grow with its square shrink fourfold.

    Args:
        data: (coils, samples).
        frequency_hz: 0 leaves the data as they are.
        dwell_us: time from sample to sample.
        center_sample: sample at k = 0, taken at the echo time.

    """
    time_s = (np.arange(data.shape[1]) - center_sample) * dwell_us * 1e-6
    return np.ascontiguousarray(data * np.exp(2j * np.pi * frequency_hz * time_s), np.complex64)


def embedded_trajectory(trajectory: NDArray[np.float32], recon_matrix: tuple[int, int]) -> NDArray[np.float64]:
    """Embedded coordinates (samples, 2 or 3) to (samples, 2) in cycles per field of view.

    Values up to 0.5 are cycles per recon pixel, values up to half the recon matrix (x, y) cycles per field of view (a
    little more is let through: delays and asymmetric readouts overshoot). A third column is density and not used.
    Raises ScanError, with the range found, for anything else.
    """
    k = np.asarray(trajectory[:, :2], np.float64)
    extent = float(np.abs(k).max())
    if extent <= 0.55:
        return np.asarray(k * np.array(recon_matrix))
    edge = max(recon_matrix) / 2
    if edge / 2 <= extent <= 1.1 * edge:
        return k
    raise ScanError(
        f"The embedded trajectory reaches {extent:.4g}, which is neither cycles per pixel (0.5) nor cycles per field "
        f"of view ({edge:g})."
    )


def _geometry(readout: ismrmrd.Acquisition, fov_mm: tuple[float, float, float]) -> Geometry:
    def triple(name: str) -> tuple[float, float, float]:
        x, y, z = (float(v) for v in getattr(readout, name))
        return x, y, z

    ticks = [int(t) for t in readout.physiology_time_stamp]
    return Geometry(
        triple("position"), triple("read_dir"), triple("phase_dir"), triple("slice_dir"),
        triple("patient_table_position"), fov_mm, int(readout.measurement_uid),
        int(readout.acquisition_time_stamp), (ticks[0], ticks[1], ticks[2]),
    )  # fmt: skip


def _counts(trouble: Counter[str]) -> str:
    return ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in sorted(trouble.items()))
