"""An estimate of the coefficients of a complete slice, for a slice in which frames are missing.

Networks need it, because they are trained on complete slices. Matching does not need it, because the same frames can be
left out of its atoms.
"""

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.simulator.physics.signal import frame_means
from spokestream.simulator.physics.temporal_basis import TemporalBasis, frame_noise

__all__ = ["missing_frames", "refill"]

SAME_BASIS = 1e-4
"""Relative difference of two bases up to which they count as one. Singular vectors that were computed on one and on two
threads differ by 6e-6 (`fisp-fang-576`); a missing frame of 2,304 makes a difference of 2e-2."""


def missing_frames(whole: TemporalBasis, seen: TemporalBasis) -> list[int] | None:
    """The frames of `whole` that are missing in `seen`; None if `seen` is not `whole.without(...)` of some frames."""
    if whole.weights.shape != seen.weights.shape or whole.spokes_per_frame != seen.spokes_per_frame:
        return None
    missing = np.flatnonzero(whole.weights.any(axis=1) & ~seen.weights.any(axis=1)).tolist()
    expected = whole.without(missing)
    pairs = (expected.weights, seen.weights), (whole.te_ms, seen.te_ms), (whole.noise, seen.noise)
    same = all(np.linalg.norm(a - b) <= SAME_BASIS * np.linalg.norm(a) for a, b in pairs)
    return missing if same else None


def refill(basis: TemporalBasis, missing: list[int], atoms: NDArray[np.float64]) -> NDArray[np.float32]:
    """The matrix (K, K) that maps coefficients without some frames to an estimate of the coefficients of all frames.

    Missing frames are estimated from the other frames by linear regression over the atoms, with the noise and aliasing
    of frames taken into account. Only images of the same echo time are used, because off-resonance gives every echo
    time its own phase.

    Args:
        basis: the temporal basis of the complete train.
        missing: indices of the missing frames.
        atoms: (atoms, spokes) signals that represent the tissue.

    Raises ScanError if all frames of an echo time are missing.

    """
    frames = frame_means(atoms, basis.spokes_per_frame)
    weights = basis.weights.astype(np.float64)
    present = weights.copy()
    present[missing] = 0
    lost = weights - present
    seen, unseen = frames @ present, frames @ lost
    noise = (present.T * frame_noise(atoms, basis.spokes_per_frame) ** 2) @ present
    matrix = np.eye(len(basis.te_ms))
    for te_ms in np.unique(basis.te_ms):
        group = np.flatnonzero(basis.te_ms == te_ms)
        if not present[:, group].any():
            raise ScanError(f"every frame with the echo time {te_ms:g} ms is missing")
        own = np.ix_(group, group)
        power = seen[:, group].T @ seen[:, group] / len(frames) + noise[own]
        cross = seen[:, group].T @ unseen[:, group] / len(frames)
        matrix[own] += np.linalg.lstsq(power, cross)[0].T
    return matrix.astype(np.float32)
