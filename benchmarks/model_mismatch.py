"""Errors of matching with the ideal model if the scan is not ideal: python benchmarks/model_mismatch.py [--quick].

Water of T1 1,400 ms, T2 40 ms and B1 0.7 is simulated through the MRF T1-FF train with one imperfection at a time, cut
into 175 frames, and matched with the closed form of ideal spoiling (T2 40 ms, perfect inversion, one flip angle over
the slice, the actual recovery): the largest normalised inner product over T1 and B1, first on a grid and then
continuously. Details that the names in the table do not specify:

- RF spoiling is a quadratic phase, increments as given, with a gradient that dephases by one turn per TR.
- Slice profiles are those of small flip angles, the Fourier transform of the pulse: of a Hann-windowed sinc with a
  time-bandwidth product of 4 or 8, over two nominal thicknesses, and of a Gaussian, to four standard deviations each
  way. 61 sub-slices. The nominal flip angle is that of the centre.
- Incomplete recovery is in its steady state, after six repetitions; the atoms, which assume full recovery, have one.
- The middle of a frame is its fifth spoke of eight.

The last column was calculated for this project with other software before this simulator existed. The shapes of its
pulses are not known any more.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from spokestream.simulator.acquisition.slice_profile import slice_profile
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.sequences.toml_file import quadratic_phase_deg
from spokestream.simulator.physics.signal import frame_means

T1_MS, T2_MS, B1 = 1400.0, 40.0, 0.7


def frames(sequence: PulseSequence, signal: NDArray) -> NDArray:
    return frame_means(signal, sequence.spokes_per_frame)


def correlation(atoms: NDArray, data: NDArray) -> NDArray:
    return np.abs(atoms @ data.conj()) / (np.linalg.norm(atoms, axis=-1) * np.linalg.norm(data))


def match(model: PulseSequence, data: NDArray, step: float) -> tuple[float, float, float]:
    """T1 in ms, B1 and correlation of the best atom of the closed form."""

    def atoms(t1, b1):
        return frames(model, fingerprint(model, t1, T2_MS, b1=b1))

    t1, b1 = np.arange(800, 1801, 200 * step), np.arange(0.3, 1.1, 0.2 * step)
    found = correlation(atoms(t1[:, None], b1), data)
    i, k = np.unravel_index(found.argmax(), found.shape)
    start = np.array([t1[i] * 1e-3, b1[k]])  # in seconds, so that steps have similar effects in both
    best = minimize(
        lambda x: 1 - correlation(atoms(1e3 * x[0], x[1]), data),
        start,
        method="Nelder-Mead",
        options={"xatol": 1e-4, "fatol": 1e-12, "initial_simplex": start + np.array([[0, 0], [0.02, 0], [0, 0.02]])},
    )
    return float(1e3 * best.x[0]), float(best.x[1]), float(1 - best.fun)


def rf_spoiled(sequence: PulseSequence, increment_deg: float) -> PulseSequence:
    return replace(sequence, spoiling="gradient", rf_phase_deg=quadratic_phase_deg(len(sequence), increment_deg))


def studies(sequence: PulseSequence) -> list[tuple[str, PulseSequence, NDArray, str]]:
    """Tuples of imperfection, sequence for matching, frames, and result of the reference."""

    def ideal(t2_ms=T2_MS, **settings):
        return frames(sequence, fingerprint(sequence, T1_MS, t2_ms, b1=B1, **settings))

    rows = [("none", sequence, ideal(), "")]
    for increment, result in ((50, "T1 +0, B1 up to +.02, r .9998"), (117, "T1 +10, B1 up to +.02, r .9986")):
        signal = fingerprint(rf_spoiled(sequence, increment), T1_MS, T2_MS, b1=B1)
        rows.append((f"RF spoiling, {increment}°", sequence, frames(sequence, signal), result))
    for efficiency, result in ((0.95, "T1 1,330"), (0.9, "T1 1,270")):
        data = ideal(inversion_efficiency=efficiency)
        rows.append((f"inversion efficiency {efficiency}", sequence, data, result))
    rows += [(f"T2 {t2} ms", sequence, ideal(t2), "none") for t2 in (30, 60)]
    for name, profile, result in (
        ("sinc of 4", slice_profile("hann-sinc", 4), "T1 unchanged, B1 .60"),
        ("sinc of 8", slice_profile("hann-sinc", 8), "T1 unchanged, B1 .60"),
        ("Gaussian", slice_profile("gaussian"), "T1 unchanged, B1 .48"),
    ):
        rows.append((f"slice profile, {name}", sequence, ideal(slice_profile=profile), result))
    full = replace(sequence, repetitions=1)
    for recovery, result in ((4190, "T1 1,370"), (2000, "T1 1,250"), (1000, "T1 1,100")):
        steady = replace(sequence, recovery_ms=recovery, repetitions=6)
        data = frames(sequence, fingerprint(steady, T1_MS, T2_MS, b1=B1))
        rows.append((f"recovery of {recovery / 1e3:g} s assumed to be full", full, data, result))
    middle = fingerprint(sequence, T1_MS, T2_MS, b1=B1)[sequence.spokes_per_frame // 2 :: sequence.spokes_per_frame]
    rows.append(("middle of a frame instead of its mean", sequence, middle, "none"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a coarser grid, to test that it runs")
    arguments = parser.parse_args()
    table = Table(title=f"Matched with the ideal model; truth: T1 {T1_MS:,.0f} ms, B1 {B1}")
    for column in ("imperfection", "T1 (ms)", "B1", "correlation", "reference"):
        table.add_column(column, justify="left" if column in ("imperfection", "reference") else "right")
    for name, model, data, result in studies(load_sequence("t1ff-2d-1400")):
        t1, b1, r = match(model, data, 0.5 if arguments.quick else 0.1)
        table.add_row(name, f"{t1:,.0f}", f"{b1:.3f}", f"{r:.6f}", result)
    Console().print(table)


if __name__ == "__main__":
    main()
