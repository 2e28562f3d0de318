"""Images that are consistent with the samples: the signal of first maps, and what the samples have beyond it.

Let A give the images of the adjoint of the samples of a signal (`SampleOperator`), and b be those of the measured
samples. From first maps with the signal x, the images are

    x + b - A x.

What the maps explain is thus free of aliasing, and water, the peaks of fat and off-resonance are each in their place,
because A knows the phase that each gathers along the readouts. Both are of the frames that were measured: in others,
the images would be the signal of the maps, which then were the more certain the fewer frames there are. What the maps
do not explain is as in the images of the adjoint. This is one step of gradient descent from the maps; further ones
amplify noise more than they remove aliasing: in a thigh, errors of water T1 were 0.83, 0.84, 1.04 and 1.29 times its
Cramer-Rao bound after 0 to 3 steps, those of the fat fraction 2.21, 1.69, 1.72 and 1.84 times.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.imaging.readout_phase import ORDER, phase_coefficients
from spokestream.gadgets.messages import Complex, Fingerprints, Float, Mask
from spokestream.gadgets.model_fit.residuals import parameter_columns
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.tissue_models.water_fat import WaterFatSignal

__all__ = ["consistent_images"]

BLOCK = 4096
"""Number of voxels whose signal is computed at once."""


def consistent_images(
    fingerprints: Fingerprints,
    maps: Mapping[str, Float],
    mask: Mask,
    closed_form: WaterFatSignal,
    efficiency: float,
    receiver_hz: float,
    threads: int,
    check: Callable[[], object] = lambda: None,
) -> Complex:
    """The consistent images (K, y, x) of a slice, 0 outside the mask, in the basis of its images of the adjoint.

    Args:
        fingerprints: images of the adjoint, with their operator.
        maps: (y, x) each, those of all parameters at least.
        mask: (y, x) voxels within the foreground whose maps are finite.
        closed_form: the signal of the scan.
        efficiency: inversion efficiency.
        receiver_hz: frequency of the receiver during the readout, below that of water.
        threads: CPU threads. The result does not depend on their number.
        check: called between pieces of the work; raises an error if the scan was cancelled.

    """
    operator = fingerprints.operator
    assert operator is not None
    measured, whole = closed_form.through(fingerprints.basis), closed_form.through(operator.basis)
    noise, measured_noise = torch.from_numpy(operator.basis.noise), torch.from_numpy(fingerprints.basis.noise)

    def signals(y: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The signal (voxels, K) of some voxels, and the same times each polynomial's factor (ORDER + 1, ...)."""
        check()
        signal, _ = measured.at(*parameters, efficiency=efficiency)
        rho = (signal.conj() * y).sum(1) / signal.abs().square().sum(1).clamp_min(1e-30)
        by_polynomial = torch.zeros((ORDER + 1, len(y), len(noise)), dtype=torch.complex64)
        for below_hz, line in whole.lines(*parameters, efficiency=efficiency):
            line = rho[:, None] * noise * line
            factors = phase_coefficients(below_hz.numpy() - receiver_hz, operator.half_readout_s)
            by_polynomial += torch.from_numpy(factors)[..., None] * line
        return rho[:, None] * measured_noise * signal, by_polynomial

    y = torch.from_numpy(np.ascontiguousarray(fingerprints.data[:, mask].T) / fingerprints.basis.noise)
    columns = parameter_columns(closed_form.model, maps, mask)
    with workers(threads) as pool:
        found = list(pool.map(signals, *(torch.split(array, BLOCK) for array in (y, *columns))))
    inside = mask[operator.tissue]
    parts = np.zeros((ORDER + 1, len(noise), len(inside)), np.complex64)
    parts[..., inside] = torch.cat([block for _, block in found], 1).mT.numpy()
    explained = operator.adjoint(parts, threads, check)[:, inside]
    images = np.zeros((len(noise), *mask.shape), np.complex64)
    images[:, mask] = torch.cat([block for block, _ in found]).T.numpy() + fingerprints.data[:, mask] - explained
    return images
