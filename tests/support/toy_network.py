"""A small random network, its contract and its archive, for tests."""

import numpy as np
import torch
from small_scan import short_sequence
from torch import Tensor, nn

from spokestream.gadgets.network.archive import save_archive
from spokestream.gadgets.network.contract import Contract, Output
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary
from spokestream.simulator.physics.quantities import Where
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION

OUTPUTS = (
    Output("ff", 0.0, 1.0, std=True),
    Output("t1h2o", 0.0, 2300.0, where=Where("ff", below=0.55)),
    Output("deltaf", -120.0, 120.0),
)
FIVE_MAPS = (
    Output("ff", 0.0, 1.0, std=True),
    Output("t1h2o", 900.0, 1700.0, std=True, where=Where("ff", below=0.95)),
    Output("t1fat", 250.0, 450.0, where=Where("ff", above=0.05)),
    Output("deltaf", -40.0, 40.0),
    Output("b1", 0.6, 1.1),
)
"""So likely, whatever a random network says, that the efficiency of an inversion can be estimated from them."""
T1_AND_T2 = (
    Output("t1", 100.0, 5000.0, std=True, logarithmic=True),
    Output("t2", 5.0, 2500.0, logarithmic=True),
)
GRID = Grid(*(np.array(axis) for axis in ([600.0, 900, 1300, 1800], [250.0, 400], [0.5, 0.75, 1], [0.0])))


class ToyNetwork(nn.Module):
    """Two 3 x 3 convolutions at full resolution and one at a quarter of it, so that corners of tiles matter."""

    border: int
    step: int

    def __init__(self, channels: int, planes: int, step: int = 1) -> None:
        super().__init__()
        self.border, self.step = (2, 1) if step == 1 else (step, step)
        self.fine = nn.Sequential(nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Conv2d(16, planes, 3))
        self.coarse = nn.Conv2d(channels, planes, 3)
        nn.init.normal_(self.fine[2].weight, std=0.15)
        nn.init.normal_(self.coarse.weight, std=0.05)

    @torch.jit.export
    def normalise(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """By the root mean square of the foreground; brighter, the better the inversion."""
        return efficiency * coefficients / coefficients[:, foreground].square().mean().sqrt()

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h + 2 border, w + 2 border) -> (n, planes, h, w)"""
        fine = self.fine(x)
        if self.step > 1:
            margin = self.border - 2
            fine = fine[:, :, margin : fine.shape[2] - margin, margin : fine.shape[3] - margin]
            low = self.coarse(nn.functional.avg_pool2d(x, self.step))
            fine = fine + nn.functional.interpolate(low, scale_factor=float(self.step))
        return torch.sigmoid(fine)


def toy_contract(step=1, tile=8, sequence=None, **changes):
    """For the short sequence, or another; a gradient-spoiled one is mapped to T1 and T2."""
    sequence = sequence or short_sequence()
    gradient_spoiled = sequence.spoiling == "gradient"
    atoms = RELAXATION.dictionary(sequence).atoms if gradient_spoiled else build_dictionary(sequence, GRID).atoms
    basis = compressed_basis(sequence, atoms, tolerance=1e-3)
    fields = {
        "name": "toy",
        "sequence": sequence,
        "basis": basis,
        "channels": 2 * len(basis.te_ms),
        "border": 2 if step == 1 else step,
        "step": step,
        "tile": tile,
        "outputs": T1_AND_T2 if gradient_spoiled else OUTPUTS,
        "tissue_model": RELAXATION.name if gradient_spoiled else "water_fat",
        "normalisation": "root mean square 1",
        "training": {"seed": 0},
    }
    return Contract(**{**fields, **changes})


def toy_module(contract, seed=0):
    """A scripted random network that keeps a contract of `toy_contract`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.jit.script(ToyNetwork(contract.channels, contract.planes, contract.step).eval())


def write_toy_archive(path, **settings):
    """An archive of a random network; returns its path."""
    contract = toy_contract(**settings)
    save_archive(path, toy_module(contract), contract)
    return path
