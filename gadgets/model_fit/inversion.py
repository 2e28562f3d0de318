"""How much of the magnetisation the inversion pulse inverted, from the fingerprints of a whole slice.

A pulse that inverts a few percent less makes water look as if its T1 were longer: 13 ms for each percent, which no
voxel can tell apart. But the two are not quite the same: an eighth of what the efficiency does to a fingerprint no
change of the five maps can do. In one voxel that is far below the noise, in ten thousand it is not.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.messages import Complex, Float
from spokestream.gadgets.model_fit.residuals import departures
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.water_fat import PARAMETERS, ClosedForm, columns

__all__ = ["EXPECTED", "LIMITS", "inversion_efficiency"]

EXPECTED = 0.95
"""Of adiabatic pulses in the body."""
LIMITS = (0.7, 1.0)
MOST_VOXELS = 10_000
ROUNDS = 2
"""The efficiency changes the fingerprint along a straight line, but how much of that maps can do changes a little."""
RIDGE = 1e-6
"""Decides between parameters that change the fingerprint alike."""


def inversion_efficiency(
    coefficients: Complex,
    basis: TemporalBasis,
    maps: dict[str, Float],
    there: NDArray[np.bool_],
    closed_form: ClosedForm,
) -> float:
    """The efficiency that explains most of what five maps leave of a slice's fingerprints.

    What the maps could explain if they were a little different does not count, so that they may have been made for
    another efficiency.

    Args:
        coefficients: (K, y, x).
        basis: that they refer to.
        maps: (y, x) each, the five at least.
        there: (y, x), voxels to take; not all of many.
        closed_form: of the scan, through the basis.

    Returns:
        1 turns M into -M, 0 leaves nothing; what is expected, where the signal does not tell.

    """
    chosen = np.zeros(there.shape, bool)
    places = np.flatnonzero(there)
    chosen.flat[places[:: -(-len(places) // MOST_VOXELS) or 1]] = True
    y = torch.from_numpy(np.ascontiguousarray(coefficients[:, chosen].T) / basis.noise)
    with workers(1) as pool:  # sums of many voxels are taken in another order by more threads
        return pool.submit(_fitted, y, columns(maps, chosen), closed_form).result()


def _fitted(y: Tensor, parameters: list[Tensor], closed_form: ClosedForm) -> float:
    efficiency = EXPECTED
    for _ in range(ROUNDS):
        signal, slopes = closed_form.at(*parameters, efficiency=efficiency)
        _, left, tangents = departures(y, signal, slopes)
        maps_can, pulse = tangents[:, : len(PARAMETERS)], tangents[:, len(PARAMETERS)]
        maps_can = maps_can / maps_can.norm(dim=-1, keepdim=True).clamp_min(1e-30)
        gram = maps_can @ maps_can.mT + RIDGE * torch.eye(len(PARAMETERS))
        share = torch.linalg.solve(gram, maps_can @ pulse[..., None])
        pulse_alone = pulse - (maps_can.mT @ share)[..., 0]
        evidence = float(pulse_alone.square().sum())
        if not evidence > 0:
            return EXPECTED
        efficiency = float(np.clip(efficiency + float((pulse_alone * left).sum()) / evidence, *LIMITS))
    return efficiency
