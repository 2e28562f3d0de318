"""How the signals of tissues change along the train, by the sequence alone."""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["tissue_levels"]

T1_MS = np.array([350.0, 900.0, 1300.0, 1500.0, 4000.0])
T2_MS = np.array([60.0, 75.0, 35.0, 100.0, 500.0])
"""Relaxation at 3 T of fat, white matter, muscle, grey matter and fluid, between which that of most tissue lies. T2 of
fluid is longer; 500 ms keep the phase graphs of 2,304 pulses below 3 s."""
B1 = np.array([0.8, 1.0, 1.2])
"""Flip angles over nominal, as they are in a head at 3 T."""


def tissue_levels(sequence: PulseSequence, starts: NDArray[np.intp], length: int) -> NDArray[np.float64]:
    """The mean signals (tissues, blocks) of water and fat on resonance in blocks of spokes.

    Args:
        sequence: the pulse sequence.
        starts: (blocks,) index of the first spoke of each block.
        length: number of spokes of a block; the last block may be shorter.

    """
    signals = fingerprint(sequence, T1_MS[:, None], T2_MS[:, None], b1=B1).reshape(-1, len(sequence))
    spokes = np.minimum(starts[:, None] + np.arange(length), len(sequence) - 1)
    return np.asarray(signals.real[:, spokes].mean(-1))
