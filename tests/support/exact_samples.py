"""A slice of nine by twelve pixels whose samples are sums over all pixels, with the phase that each line gathers."""

import numpy as np
import torch
from small_scan import complex_normal, short_sequence

from spokestream.gadgets.imaging.low_rank import echo_times
from spokestream.gadgets.imaging.radial_grid import ramp_density
from spokestream.gadgets.imaging.sample_operator import SampleOperator, SampleSpread
from spokestream.gadgets.messages import SpokeBlock
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

SHAPE, SAMPLES, CENTRE = (9, 12), 26, 12
TOLERANCE = 1e-5


class ExactSamples:
    """The scan: its samples and their adjoint by sums in double precision, and the operator for the same."""

    def __init__(self, rng, dwell_us, frames=range(10), delay=0.0):
        self.sequence, self.dwell_us, self.frames = short_sequence(), dwell_us, list(frames)
        atoms = build_dictionary(self.sequence).atoms
        self.basis = compressed_basis(self.sequence, atoms)
        self.noise = frame_basis(self.sequence, atoms).noise
        self.tissue = np.ones(SHAPE, bool)
        self.tissue[:2], self.tissue[4, 5] = False, False
        self.sensitivities = complex_normal(rng, 2, *SHAPE)
        self.sensitivities /= np.linalg.norm(self.sensitivities, axis=0)
        angles = golden_angles(np.arange(len(self.sequence))).reshape(-1, 8)
        self.k = np.stack([radial_spokes(a, SAMPLES, CENTRE, 2.0) for a in angles]).astype(np.float32)
        self.k += np.float32(delay)  # the gradients are late, and the samples are taken on time
        y, x = (np.arange(n) - n // 2 for n in SHAPE)
        turns = self.k[..., 1, None, None] * y[:, None] / SHAPE[0] + self.k[..., 0, None, None] * x / SHAPE[1]
        self._turning = np.exp(-2j * np.pi * turns)[..., self.tissue]  # (frames, spokes, samples, voxels)
        self._time_s = (np.arange(SAMPLES) - CENTRE) * (dwell_us or 0) * 1e-6

    def _block(self, frame):
        indices = np.arange(8 * frame, 8 * frame + 8)
        data = np.zeros((2, 8, SAMPLES), np.complex64)
        time_us = None if self.dwell_us is None else np.tile(np.float32(1e6 * self._time_s), (8, 1))
        return SpokeBlock(data, self.k[frame], indices, frame, 0, time_us=time_us)

    def operator(self, device="cpu"):
        """The operator of these frames."""
        groups = echo_times(self.basis, self.noise)
        spread = SampleSpread(SHAPE, groups, TOLERANCE, self._block(self.frames[0]))
        for frame in self.frames:
            spread.add(self._block(frame), ramp_density(self.k[frame]))
        with workers(2) as pool:
            maps = torch.from_numpy(self.sensitivities)
            return SampleOperator.of(spread, self.basis, self.tissue, maps, pool, device)

    def adjoint(self, lines):
        """The images (K, voxels) of the adjoint of the samples of lines: (Hz below the receiver, coefficients)."""
        vectors, weights = self.basis.weights * self.noise[:, None] ** 2, self.basis.weights
        coils = self.sensitivities[:, self.tissue]
        images = np.zeros((len(self.basis.te_ms), len(coils[0])), np.complex128)
        for f in self.frames:
            phases = [np.exp(-2j * np.pi * below_hz * self._time_s[:, None]) for below_hz, _ in lines]
            turned = np.sum([p * (vectors[f] @ c) for p, (_, c) in zip(phases, lines, strict=True)], axis=0)
            samples = np.einsum("msv,sv,cv->cms", self._turning[f], turned, coils)
            back = np.einsum("msv,cms,cv->v", self._turning[f].conj(), samples * ramp_density(self.k[f]), coils.conj())
            images += weights[f][:, None] * back / np.prod(SHAPE)
        return images
