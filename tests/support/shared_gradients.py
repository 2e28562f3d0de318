"""The gradient of one step in float64, of all processes together and of one alone; `torchrun` starts it.

Arguments: a training set, the folder for the results, and NAME-STEP for every gradient: the name of a network, and
which of its training steps (0 for the last one, 1 for the first of two). One start serves all of them, because it takes
longer than their gradients.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.training.inputs.patches import Patches
from spokestream.models.training.losses import Total, single_process
from spokestream.models.training.processes import Processes
from spokestream.models.training.recipes import RECIPES
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

PATCH, PER_SLICE, BATCH = 8, 4, 4
"""One slice a batch, so that each of two processes takes two of its patches: water and fat weigh unequally in them."""


def main(folder: str, results: str, *chosen: str) -> None:
    single = torch.Tensor.float
    with Processes() as processes:
        for of in chosen:
            name, which = of.split("-")
            found = gradients(TrainingSet(folder), name, int(which), processes)
            if processes.first:
                torch.save(found, Path(results) / f"{of}.pt")
            torch.Tensor.float = single
        processes.wait()


def gradients(data: TrainingSet, name: str, which: int, processes: Processes) -> dict[str, Any]:
    """The gradients of one step of a network."""
    recipe = RECIPES[name]
    torch.manual_seed(0)
    normalisation, network = recipe.make(data.basis, data.sequence, len(WATER_FAT.parameters))
    step = recipe.first_step(network) if which and recipe.first_step else network
    step.double()
    torch.Tensor.float = torch.Tensor.double  # networks take single precision for some layers by themselves

    def gradient(run: nn.Module, numbers: slice, rank: int, size: int, total: Total) -> dict[str, Tensor]:
        patches = Patches(
            data, normalisation, maps=WATER_FAT.parameters, size=min(PATCH, recipe.patch), border=network.border,
            per_slice=PER_SLICE, batch=BATCH, seed=0, rank=rank, processes=size,
        )  # fmt: skip
        x, target, weight = (part[numbers].double() for part in next(patches.batches(0)))
        step.zero_grad()
        recipe.loss(run(x), target, weight, total).backward()
        return {name: value.grad.clone() for name, value in step.named_parameters() if value.grad is not None}

    everything = slice(None)
    together = gradient(processes.distribute(step), everything, processes.rank, processes.size, processes.total)
    if not processes.first:  # what one process finds alone is not needed twice
        return {}
    return {
        "together": together,
        "alone": gradient(step, everything, 0, 1, single_process),
        "patches": [gradient(step, slice(n, n + 1), 0, 1, single_process) for n in range(BATCH)],
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
