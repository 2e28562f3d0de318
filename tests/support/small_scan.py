"""What the tests of several packages share: a short sequence and small, odd, unequal sizes."""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

MATRIX = (23, 19)  # (y, x), odd and unequal
TRAIN = """
ti_ms = 8.32
recovery_ms = 500.0
[[train]]
spokes = 24
flip_angle_deg = 6.0
te_ms = 2.39
tr_ms = 3.52
[[train]]
spokes = 16
flip_angle_deg = 12.0
te_ms = 3.45
tr_ms = 4.58
"""


def short_sequence(spokes_per_frame=8):
    """80 spokes with the three echo times of MRF T1-FF, quick to compute with."""
    te = np.repeat([2.39, 3.45, 4.63], [48, 16, 16])
    flip = np.repeat([5.0, 10.0, 15.0, 5.0], [24, 24, 16, 16])
    return PulseSequence(
        "short", flip, te, te + 60.0, ti_ms=8.32, recovery_ms=2000.0, repetitions=2, spokes_per_frame=spokes_per_frame
    )


def short_fisp():
    """60 gradient-spoiled spokes, which encode T1 and T2, quick to compute with."""
    flip = 35 - 30 * np.cos(np.linspace(0, 3 * np.pi, 60))
    te = np.full(60, 2.0)
    return PulseSequence(
        "short FISP", flip, te, te + 8.0, ti_ms=20.0, recovery_ms=0.0, repetitions=1, spokes_per_frame=1,
        spoiling="gradient",
    )  # fmt: skip


def complex_normal(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def gradient_spoiled(spokes: int) -> str:
    """A TOML file of a gradient-spoiled train for T1 and T2, one spoke a frame."""
    return f"""
ti_ms = 20.0
recovery_ms = 0.0
repetitions = 1
spokes_per_frame = 1
spoiling = "gradient"
flip_angle_deg = {{ sine = [16, 25], phase_deg = [-90, 450] }}
te_ms = 2.5
tr_ms = 10.0
[[train]]
spokes = {spokes}
"""


def relaxation_dictionary(t1_ms: NDArray[np.float64], t2_ms: NDArray[np.float64]) -> OnePoolDictionary:
    """The atoms of all pairs of T1 and T2 for a gradient-spoiled train of 60 spokes, one a frame."""
    n = 60
    flips = 10 + 40 * np.abs(np.sin(np.pi * np.arange(n) / 23))
    sequence = PulseSequence(
        "short", flips, np.full(n, 2.0), np.full(n, 11.0), ti_ms=15.0, recovery_ms=0.0, spoiling="gradient",
        spokes_per_frame=1,
    )  # fmt: skip
    t1, t2 = (x.ravel() for x in np.meshgrid(t1_ms, t2_ms, indexing="ij"))
    return OnePoolDictionary(sequence, {"t1": t1, "t2": t2}, np.asarray(fingerprint(sequence, t1, t2)))
