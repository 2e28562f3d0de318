"""The temporal basis for methods that go from images to samples and back: its vectors are orthonormal."""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.dictionaries.singular_vectors import leading_vectors, normalised_gram
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, frame_means

__all__ = ["orthonormal_basis"]

ENERGY = 1 - 1e-7
"""Fraction of the energy of the dictionary in the basis of its signals: 19 vectors for 200 frames."""


def orthonormal_basis(sequence: PulseSequence, atoms: NDArray[np.floating]) -> TemporalBasis:
    """The leading singular vectors of the frames of a dictionary whose atoms are all divided by their norms.

    Args:
        sequence: a sequence of one echo time.
        atoms: (atoms, spokes) signals.

    """
    span = leading_vectors(normalised_gram([frame_means(atoms, sequence.spokes_per_frame)]), ENERGY)[0]
    n = span.shape[1]
    te_ms = np.full(n, sequence.te_ms[0])
    return TemporalBasis(span.astype(np.float32), te_ms, sequence.spokes_per_frame, np.ones(n, np.float32))
