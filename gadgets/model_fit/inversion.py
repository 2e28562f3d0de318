"""How much of the magnetisation the inversion pulse inverted, from the fingerprints of a whole slice.

A pulse that inverts a few percent less makes water look as if its T1 were longer: 13 ms for each percent, which no
single voxel can tell apart. The two effects differ a little: about one eighth of the effect of the efficiency cannot be
reproduced by changing the parameters. In one voxel this is far below the noise; over ten thousand voxels it is not.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.messages import Complex, Float
from spokestream.gadgets.model_fit.residuals import fit_and_residual, parameter_columns
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["EXPECTED", "LIMITS", "inversion_efficiency"]

EXPECTED = 0.95
"""Efficiency of adiabatic pulses in the body."""
LIMITS = (0.7, 1.0)
"""Range in which an efficiency is searched."""
MOST_VOXELS = 10_000
"""Voxels that are used; more would not change the result."""
ROUNDS = 2
"""The fingerprint depends linearly on the efficiency, but what the parameters can reproduce of it changes a little."""
RIDGE = 1e-6
"""Decides between parameters that change the fingerprint alike."""


def inversion_efficiency(
    coefficients: Complex,
    basis: TemporalBasis,
    maps: dict[str, Float],
    mask: NDArray[np.bool_],
    closed_form: ClosedForm,
) -> float:
    """The efficiency that explains most of what the maps leave of a slice's fingerprints.

    Residuals that a small change of the maps would explain do not count, so that the maps may have been made for
    another efficiency.

    Args:
        coefficients: (K, y, x) of the slice.
        basis: the temporal basis that the coefficients refer to.
        maps: (y, x) each, those of all parameters of the closed form's tissue model at least.
        mask: (y, x) voxels that may be used; of many, some are.
        closed_form: the scan's signal, through the basis.

    Returns:
        1 turns M into -M, 0 leaves nothing; `EXPECTED` where the signal does not tell.

    """
    chosen = np.zeros(mask.shape, bool)
    places = np.flatnonzero(mask)
    chosen.flat[places[:: -(-len(places) // MOST_VOXELS) or 1]] = True
    y = torch.from_numpy(np.ascontiguousarray(coefficients[:, chosen].T) / basis.noise)
    columns = parameter_columns(closed_form.model, maps, chosen)
    with workers(1) as pool:  # sums of many voxels are taken in another order by more threads
        return pool.submit(_fitted, y, columns, closed_form).result()


def _fitted(y: Tensor, parameters: list[Tensor], closed_form: ClosedForm) -> float:
    efficiency, n = EXPECTED, len(parameters)
    for _ in range(ROUNDS):
        signal, derivatives = closed_form.at(*parameters, efficiency=efficiency)
        _, residual, tangents = fit_and_residual(y, signal, derivatives)
        by_maps, by_pulse = tangents[:, :n], tangents[:, n]
        by_maps = by_maps / by_maps.norm(dim=-1, keepdim=True).clamp_min(1e-30)
        gram = by_maps @ by_maps.mT + RIDGE * torch.eye(n)
        reproduced = torch.linalg.solve(gram, by_maps @ by_pulse[..., None])
        pulse_alone = by_pulse - (by_maps.mT @ reproduced)[..., 0]
        evidence = float(pulse_alone.square().sum())
        if not evidence > 0:
            return EXPECTED
        efficiency = float(np.clip(efficiency + float((pulse_alone * residual).sum()) / evidence, *LIMITS))
    return efficiency
