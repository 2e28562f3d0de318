"""T1 and T2 that were found as if all pulses were perfect, corrected for the inversion and the B1 of the slice.

Matching takes the inversion as perfect and flip angles as nominal. A less efficient inversion makes T1 too short, and
low flip angles make T2 too long. Where both are known, each voxel gets the T1 and T2 whose fingerprint, by the true
pulses, is nearest to that of the values found by perfect ones: no image has to be matched again.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.messages import Float
from spokestream.gadgets.model_fit.residuals import fit_and_residual
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.relaxation_b1 import RelaxationB1Signal

__all__ = ["signal_of_voxels", "without_pulse_errors"]

T1_MS, T2_MS, NODES = (250.0, 7000.0), (8.0, 3000.0), (15, 15, 9)
"""Ranges and Chebyshev nodes of the signals of voxels. They reach beyond tissue and fluid, so that values may move."""
STEPS = 4
"""Number of Gauss-Newton steps."""
RESOLVED, SPREAD = 0.005, 0.3
"""Difference of fingerprints, over their size, that values follow, and the standard deviation of what pulses change in
log T1 and log T2. In tissue the difference decides; fluid, whose fingerprint says little of T2, hardly moves."""
CHUNK = 4096
"""Number of voxels that are moved at once."""


def signal_of_voxels(sequence: PulseSequence, basis: TemporalBasis) -> RelaxationB1Signal:
    """The signal of all voxels that can be corrected."""
    return RelaxationB1Signal(sequence, basis, T1_MS, T2_MS, NODES)


def without_pulse_errors(
    t1_ms: Float,
    t2_ms: Float,
    b1: Float,
    efficiency: float,
    signal: RelaxationB1Signal,
    threads: int = 1,
    check: Callable[[], object] = lambda: None,
) -> tuple[Float, Float, Float]:
    """T1 and T2 by the true pulses, of values that were found by perfect ones.

    Args:
        t1_ms: (voxels,)
        t2_ms: (voxels,)
        b1: (voxels,) flip angle over nominal.
        efficiency: inversion efficiency.
        signal: the scan's signal, from `signal_of_voxels`.
        threads: CPU threads. The result does not depend on their number.
        check: called between pieces of the work; raises an error if the scan was cancelled.

    Returns:
        T1 and T2 (voxels,) in ms, and the factor (voxels,) of the proton density.

    """
    columns = (torch.from_numpy(np.ascontiguousarray(each, np.float32)) for each in (t1_ms, t2_ms, b1))

    def one(t1: Tensor, t2: Tensor, b1: Tensor) -> Tensor:
        check()
        return _moved(t1, t2, b1, efficiency, signal)

    with workers(threads) as pool:
        moved = torch.cat(list(pool.map(one, *(torch.split(column, CHUNK) for column in columns)))).numpy()
    return moved[:, 0], moved[:, 1], moved[:, 2]


def _moved(t1_ms: Tensor, t2_ms: Tensor, b1: Tensor, efficiency: float, signal: RelaxationB1Signal) -> Tensor:
    """T1, T2 and the factor of the proton density as columns (voxels, 3)."""
    low, high = torch.tensor([T1_MS, T2_MS]).log().unbind(1)
    found = torch.stack([t1_ms, t2_ms], dim=1).log()
    start = found.clamp(low, high)
    nominal, _ = _by_relaxation(signal, start, torch.ones_like(b1), 1.0)
    size = torch.view_as_real(nominal).square().sum((1, 2)).clamp_min(1e-30)
    resolved = (RESOLVED**2 * size)[:, None].sqrt()
    x = start
    for _ in range(STEPS):
        _, residual, tangents = fit_and_residual(nominal, *_by_relaxation(signal, x, b1, efficiency))
        tangents, residual = tangents / resolved[..., None], residual / resolved
        information = tangents @ tangents.mT + torch.eye(2) / SPREAD**2
        gradient = (tangents @ residual[..., None])[..., 0] + (start - x) / SPREAD**2
        x = (x + torch.linalg.solve(information, gradient)).clamp(low, high)
        x = torch.minimum(x, x[:, :1])  # T2 is at most T1
    factor, _, _ = fit_and_residual(nominal, *_by_relaxation(signal, x, b1, efficiency))
    return torch.cat([(found + x - start).exp(), factor.abs()[:, None]], dim=1)


def _by_relaxation(signal: RelaxationB1Signal, x: Tensor, b1: Tensor, efficiency: float) -> tuple[Tensor, Tensor]:
    """The signal at log T1 and log T2 (voxels, 2), and its derivatives by these."""
    t1_ms, t2_ms = x.exp().unbind(1)
    fingerprint, derivatives = signal.at(t1_ms, t2_ms, b1, efficiency)
    return fingerprint, derivatives[:, :2]
