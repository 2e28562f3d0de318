"""Faults of readouts: what their headers and trajectories say about where the samples lie."""

import ismrmrd
import numpy as np

from spokestream.simulator.faults.fault import Collection
from spokestream.simulator.faults.recorded import RecordedReadouts

__all__ = ["FAULTS"]

FAULTS = Collection("readouts")
Random = np.random.Generator


@FAULTS.fault("samples before the readout, told by discard_pre", 4, 12, 40, cause="discard")
def pre_samples(scan: RecordedReadouts, n: int, rng: Random) -> None:
    """The converter keeps the samples that the receiver took before and after the readout, and says how many."""
    size = 0.5 * max(np.abs(scan.samples(row)).max() for row in scan.spokes)
    for row in scan.spokes:
        data, k = scan.samples(row), scan.trajectory(row)
        junk = size * (rng.standard_normal((len(data), 2, n)) + 1j * rng.standard_normal((len(data), 2, n)))
        scan.put_samples(row, np.concatenate([junk[:, 0], data, junk[:, 1]], axis=1))
        scan.put_trajectory(row, np.concatenate([np.repeat(k[:1], n, 0), k, np.repeat(k[-1:], n, 0)]))
        head = scan.records["head"]
        head["center_sample"][row] += n
        head["discard_pre"][row] = head["discard_post"][row] = n


@FAULTS.fault("center_sample never set", "embedded", "angle", "golden", cause="center_sample")
def center_never_set(scan: RecordedReadouts, trajectory: str, rng: Random) -> None:
    """All readouts say that k = 0 is at their first sample."""
    _tell_trajectory(scan, trajectory)
    scan.records["head"]["center_sample"][scan.spokes] = 0


@FAULTS.fault("center_sample wrong by samples", 3, 10, 40, cause="center_sample|trajectory|explain")
def center_wrong(scan: RecordedReadouts, n: int, rng: Random) -> None:
    """Golden-angle spokes whose centre is not where their headers say."""
    scan.forget_trajectories()
    scan.records["head"]["center_sample"][scan.spokes] += n


@FAULTS.fault("encodedSpace without the oversampling", "embedded", "angle", "golden", cause="oversampl|encodedSpace")
def encoded_at_base(scan: RecordedReadouts, trajectory: str, rng: Random) -> None:
    """The header's encodedSpace is that of the image, while the readouts are oversampled twofold."""
    _tell_trajectory(scan, trajectory)
    scan.space("encodedSpace", int(scan.numbers("x")[2]), scan.numbers("x")[3])


@FAULTS.fault(
    "oversampling removed before sending", "embedded", "angle", "golden", cause="oversampl|encodedSpace|samples"
)
def oversampling_removed(scan: RecordedReadouts, trajectory: str, rng: Random) -> None:
    """The converter removed the oversampling, but the header still speaks of it."""
    for row in scan.spokes:
        data, k = scan.samples(row), scan.trajectory(row)
        centre = int(scan.records["head"]["center_sample"][row])
        line = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(data, axes=1), axis=1), axes=1)
        n = data.shape[1] // 2
        inner = line[:, data.shape[1] // 2 - n // 2 : data.shape[1] // 2 - n // 2 + n]
        scan.put_samples(row, np.fft.fftshift(np.fft.fft(np.fft.ifftshift(inner, axes=1), axis=1), axes=1))
        scan.put_trajectory(row, k[centre % 2 :: 2][:n])
        scan.records["head"]["center_sample"][row] = n // 2
    _tell_trajectory(scan, trajectory)


@FAULTS.fault("spokes in the second encoding", "embedded", "angle", "golden", cause="encod")
def second_encoding(scan: RecordedReadouts, trajectory: str, rng: Random) -> None:
    """The header's first encoding describes another scan of the same measurement; the spokes name the second."""
    _tell_trajectory(scan, trajectory)
    begin, end = scan.xml.index("<encoding>"), scan.xml.index("</encoding>") + len("</encoding>")
    own = scan.xml[begin:end]
    other = RecordedReadouts(own.replace(">goldenangle<", ">cartesian<"), scan.records)
    other.space("encodedSpace", 64, 500.0)
    other.space("reconSpace", 64, 250.0)
    scan.xml = scan.xml[:begin] + other.xml + own + scan.xml[end:]
    scan.records["head"]["encoding_space_ref"] = 1


@FAULTS.fault("asymmetric echo, samples missing before it", 0.125, 0.25, 0.5, cause="asymmetric|echo")
def asymmetric_echo(scan: RecordedReadouts, fraction: float, rng: Random) -> None:
    """The readout begins late, and its header says where the centre is."""
    for row in scan.spokes:
        n = round(fraction * int(scan.records["head"]["center_sample"][row]))
        data, k = scan.samples(row)[:, n:].copy(), scan.trajectory(row)[n:].copy()
        scan.put_samples(row, data)
        scan.put_trajectory(row, k)
        scan.records["head"]["center_sample"][row] -= n


@FAULTS.fault("readouts sampled backwards, flagged", "embedded", "angle", "golden", cause="revers")
def reversed_readouts(scan: RecordedReadouts, trajectory: str, rng: Random) -> None:
    """Every second readout is stored as it was sampled, from its end to its beginning, with the flag for it."""
    _tell_trajectory(scan, trajectory)
    flag = np.uint64(1 << (ismrmrd.ACQ_IS_REVERSE - 1))
    head = scan.records["head"]
    for row in scan.spokes[1::2]:
        scan.put_samples(row, scan.samples(row)[:, ::-1])
        if head["trajectory_dimensions"][row]:
            scan.put_trajectory(row, scan.trajectory(row)[::-1])
        head["center_sample"][row] = head["number_of_samples"][row] - 1 - head["center_sample"][row]
        head["flags"][row] |= flag


@FAULTS.fault("trajectory in another unit", "1/m", "rad/m", "rad/pixel", cause="trajectory")
def trajectory_unit(scan: RecordedReadouts, unit: str, rng: Random) -> None:
    """The embedded trajectory is not in cycles per pixel."""
    pixel_mm = scan.numbers("x")[3] / scan.numbers("x")[2]
    factor = {"1/m": 1e3 / pixel_mm, "rad/m": 2e3 * np.pi / pixel_mm, "rad/pixel": 2 * np.pi}[unit]
    for row in scan.spokes:
        scan.put_trajectory(row, scan.trajectory(row) * factor)


@FAULTS.fault("spokes without trajectory among others, read the other way", 0.01, 0.1, 0.5, cause="trajectory")
def trajectory_of_some(scan: RecordedReadouts, fraction: float, rng: Random) -> None:
    """Embedded spokes run against their golden angle; those that have no trajectory would be taken for forward ones."""
    for row in scan.spokes:
        scan.put_samples(row, scan.samples(row)[:, ::-1])
        scan.put_trajectory(row, None if rng.random() < fraction else scan.trajectory(row)[::-1])
        head = scan.records["head"]
        head["center_sample"][row] = head["number_of_samples"][row] - 1 - head["center_sample"][row]


@FAULTS.fault("trajectories that were never filled in", 0.01, 0.3, 1.0, cause="trajectory")
def zero_trajectories(scan: RecordedReadouts, fraction: float, rng: Random) -> None:
    """There is room for a trajectory, but it is zero."""
    for row in scan.some_spokes(fraction, rng):
        scan.put_trajectory(row, np.zeros_like(scan.trajectory(row)))


@FAULTS.fault("absurd coordinates in one spoke", 3.0, 1e6, np.nan, cause="trajectory")
def absurd_coordinate(scan: RecordedReadouts, value: float, rng: Random) -> None:
    """One coordinate of one spoke is far away."""
    row = scan.some_spokes(0, rng)[0]
    scan.trajectory(row)[int(rng.integers(0, len(scan.trajectory(row)))), 0] = value


@FAULTS.fault("third trajectory column is kz", 0.05, 0.2, 0.45, cause="trajectory|3-D|kz")
def third_column(scan: RecordedReadouts, reach: float, rng: Random) -> None:
    """Planes of spokes at several kz, as in a stack of stars."""
    for number, row in enumerate(scan.spokes):
        k = scan.trajectory(row)
        kz = np.full((len(k), 1), reach * (number % 5 - 2) / 2)
        scan.put_trajectory(row, np.concatenate([k, kz], axis=1))


@FAULTS.fault("partitions of a 3-D scan", 2, 4, 16, cause="kspace_encode_step_2|partition|3-D")
def partitions(scan: RecordedReadouts, n: int, rng: Random) -> None:
    """The spokes are numbered over several partitions."""
    scan.records["head"]["idx"]["kspace_encode_step_2"][scan.spokes] = np.arange(len(scan.spokes)) % n


@FAULTS.fault(
    "a second measurement in a counter", "average", "repetition", "contrast", cause="average|repetition|contrast"
)
def second_measurement(scan: RecordedReadouts, counter: str, rng: Random) -> None:
    """Everything is measured again, with other noise and the sign of another phase cycle."""
    again = RecordedReadouts(scan.xml, scan.records[scan.spokes].copy())
    again.records["head"]["idx"][counter] = 1
    last = ~np.uint64(sum(1 << (f - 1) for f in (ismrmrd.ACQ_LAST_IN_SLICE, ismrmrd.ACQ_LAST_IN_MEASUREMENT)))
    scan.records["head"]["flags"] &= last
    for row in range(len(again.records)):
        again.records["data"][row] = -again.records["data"][row]
    scan.records = np.concatenate([scan.records, again.records])


@FAULTS.fault("spokes numbered wrongly", 8, 100, 700, cause="explain|trajectory")
def numbered_wrongly(scan: RecordedReadouts, shift: int, rng: Random) -> None:
    """Spokes with golden angles whose numbers are shifted around the train."""
    index = scan.records["head"]["idx"]["kspace_encode_step_1"]
    index[scan.spokes] = (index[scan.spokes] + shift) % (int(index.max()) + 1)


@FAULTS.fault(
    "no directions and no position",
    "slice direction",
    "directions",
    "both",
    cause="position|direction|orientation|geometry",
)
def no_geometry(scan: RecordedReadouts, which: str, rng: Random) -> None:
    """The geometry in the readouts' headers was never filled in."""
    names = {"slice direction": ("slice_dir",), "directions": ("read_dir", "phase_dir", "slice_dir")}
    for name in names.get(which, ("position", "read_dir", "phase_dir", "slice_dir")):
        scan.records["head"][name] = 0


def _tell_trajectory(scan: RecordedReadouts, how: str) -> None:
    """Keep the embedded trajectory, put the angle into `user_float[0]` instead, or leave it to golden angles."""
    if how == "angle":
        for row in scan.spokes:
            along = scan.trajectory(row)[-1] - scan.trajectory(row)[0]
            scan.records["head"]["user_float"][row, 0] = np.arctan2(along[1], along[0])
    if how != "embedded":
        scan.forget_trajectories()
