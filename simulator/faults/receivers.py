"""Faults of receivers and their data: coils, gains, spikes, signs, the noise scan."""

import numpy as np

from spokestream.simulator.faults.fault import Collection
from spokestream.simulator.faults.recorded import RecordedReadouts

__all__ = ["FAULTS"]

FAULTS = Collection("receiver")

Random = np.random.Generator


@FAULTS.fault("overall scale, with a noise scan", 1e-30, 1e10, 1e30, cause="scale|finite|large")
def scale(scan: RecordedReadouts, factor: float, rng: Random) -> None:
    """All samples are multiplied by a number."""
    for row in range(len(scan.records)):
        scan.put_samples(row, scan.samples(row) * factor)


@FAULTS.fault("overall scale, without a noise scan", 1e-30, 1e7, 1e30, cause="scale|finite|large")
def scale_without_noise(scan: RecordedReadouts, factor: float, rng: Random) -> None:
    """All samples are multiplied by a number, and there are no noise readouts."""
    scan.records = scan.records[scan.spokes]
    scale(scan, factor, rng)


@FAULTS.fault("coils switched off", 1, 2, 3, cause="coil|channel")
def coils_off(scan: RecordedReadouts, n: int, rng: Random) -> None:
    """Coils give zeros, in the noise scan too."""
    for row in range(len(scan.records)):
        scan.samples(row)[:n] = 0


@FAULTS.fault("two channels carry the same signal", 0.0, 1e-6, 1e-3, cause="coil|channel|noise covariance")
def same_signal(scan: RecordedReadouts, difference: float, rng: Random) -> None:
    """A channel repeats another one, up to a small difference."""
    for row in range(len(scan.records)):
        data = scan.samples(row)
        data[1] = data[0] + difference * data[1]


@FAULTS.fault(
    "noise scan of other channels", "fewer", "none has noise", "signal instead of noise", cause="noise|coil|channel"
)
def other_noise(scan: RecordedReadouts, what: str, rng: Random) -> None:
    """The noise readouts do not belong to these spokes."""
    for row in scan.noise:
        data = scan.samples(row)
        if what == "fewer":
            scan.put_samples(row, data[:-1].copy())
        elif what == "none has noise":
            data[:] = 0
        else:
            data[:] = scan.samples(scan.spokes[0])


@FAULTS.fault("all samples conjugated", "embedded", "golden", "without noise scan", cause="conjugat")
def conjugated(scan: RecordedReadouts, how: str, rng: Random) -> None:
    """The converter stores the complex conjugate."""
    if how == "golden":
        scan.forget_trajectories()
    if how == "without noise scan":
        scan.records = scan.records[scan.spokes]
    for row in range(len(scan.records)):
        scan.put_samples(row, scan.samples(row).conj())


@FAULTS.fault("a spike in one sample", 10.0, 1e3, 1e6, cause="spike|spoke|outlier")
def one_spike(scan: RecordedReadouts, size: float, rng: Random) -> None:
    """One sample of one coil is many times the largest one."""
    data = scan.samples(scan.some_spokes(0, rng)[0])
    data[0, rng.integers(0, data.shape[1])] = size * _largest(scan)


@FAULTS.fault("spikes in many spokes", 0.005, 0.02, 0.08, cause="spike|spoke|outlier")
def many_spikes(scan: RecordedReadouts, fraction: float, rng: Random) -> None:
    """A sample in some spokes is as large as the largest one, in all coils."""
    size = _largest(scan)
    for row in scan.some_spokes(fraction, rng):
        data = scan.samples(row)
        data[:, rng.integers(0, data.shape[1])] += np.float32(size)


@FAULTS.fault("interference in spokes", 0.005, 0.02, 0.08, cause="interference|noise|spoke|outlier")
def interference(scan: RecordedReadouts, fraction: float, rng: Random) -> None:
    """A sender disturbs whole spokes: a wave of one frequency in all coils."""
    size = 0.3 * _largest(scan)
    for row in scan.some_spokes(fraction, rng):
        data = scan.samples(row)
        wave = np.exp(2j * np.pi * rng.uniform(-0.4, 0.4) * np.arange(data.shape[1]))
        data += (size * rng.uniform(0.5, 1, (len(data), 1)) * wave).astype(np.complex64)


@FAULTS.fault("gain jumps for 100 spokes", 1.5, 3.0, 10.0, cause="gain|spoke|energy")
def gain_jump(scan: RecordedReadouts, factor: float, rng: Random) -> None:
    """The receiver's gain is another one for part of the train."""
    begin = int(rng.integers(200, 1200))
    for row in scan.spokes[begin : begin + 100]:
        scan.put_samples(row, scan.samples(row) * factor)


@FAULTS.fault("a coil dies in the train", 1300, 700, 100, cause="coil|channel")
def coil_dies(scan: RecordedReadouts, spoke: int, rng: Random) -> None:
    """A coil gives only noise from this spoke on."""
    sd = np.std(scan.samples(scan.noise[0])[0]) / np.sqrt(2)
    for row in scan.spokes[spoke:]:
        data = scan.samples(row)
        shape = data.shape[1]
        data[0] = sd * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


@FAULTS.fault("coils swapped in the train", 1300, 700, 100, cause="coil|channel")
def coils_swapped(scan: RecordedReadouts, spoke: int, rng: Random) -> None:
    """Two coils change places from this spoke on."""
    for row in scan.spokes[spoke:]:
        data = scan.samples(row)
        data[[0, 2]] = data[[2, 0]]


@FAULTS.fault("negated spokes", 0.005, 0.02, 0.08, cause="sign|phase|negat|spoke")
def negated(scan: RecordedReadouts, fraction: float, rng: Random) -> None:
    """Some spokes have the wrong sign."""
    for row in scan.some_spokes(fraction, rng):
        scan.put_samples(row, -scan.samples(row))


@FAULTS.fault("spokes of zeros", 0.005, 0.02, 0.08, cause="zero|empty|missing|spoke")
def zeros(scan: RecordedReadouts, fraction: float, rng: Random) -> None:
    """Some spokes hold nothing."""
    for row in scan.some_spokes(fraction, rng):
        scan.samples(row)[:] = 0


@FAULTS.fault("spokes exchanged within the train", 0.005, 0.02, 0.08, cause="spoke|outlier|explain")
def exchanged(scan: RecordedReadouts, fraction: float, rng: Random) -> None:
    """The samples of some spokes are those of other spokes, while the headers stay."""
    rows = scan.some_spokes(fraction, rng)
    held = [scan.samples(row).copy() for row in rows]
    for row, data in zip(rows, held[1:] + held[:1], strict=True):
        scan.put_samples(row, data)


@FAULTS.fault("nothing but noise", 0.1, 1.0, 100.0, cause="noise|tissue|explain|foreground")
def only_noise(scan: RecordedReadouts, level: float, rng: Random) -> None:
    """There is nobody in the scanner, and the receiver has this many times the usual noise."""
    sd = level * np.std(scan.samples(scan.noise[0])) / np.sqrt(2)
    for row in scan.spokes:
        shape = scan.samples(row).shape
        scan.put_samples(row, sd * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)))


def _largest(scan: RecordedReadouts) -> float:
    return float(max(np.abs(scan.samples(row)).max() for row in scan.spokes))
