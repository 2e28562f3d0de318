"""Batches of the atoms of a dictionary, each with noise and a phase of its own."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from spokestream.errors import InputError
from spokestream.gadgets.network.network_input import interleaved
from spokestream.models.datasets.atoms import AtomSet, add_noise
from spokestream.models.training.inputs.normalisation import Normalisation
from spokestream.models.training.inputs.targets import targets
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter

__all__ = ["AtomBatches"]


class AtomBatches:
    """Batches of (input, target, weight), in which the atoms of a batch are a row of pixels.

    Random numbers depend only on seed, epoch and batch, so that an interrupted training continues as if it had not
    stopped.

    Args:
        data: the atoms.
        normalisation: the normalisation of the network.
        maps: targets and their ranges.
        batch: atoms of a batch.
        noise: standard deviation of the noise; see `add_noise`.
        seed: of all random numbers.
        rank: number of this process.
        processes: number of processes. Each makes an equal part of the atoms of a batch.

    Raises InputError for batches that cannot be shared evenly or are larger than the set.

    """

    def __init__(
        self,
        data: AtomSet,
        normalisation: Normalisation,
        *,
        maps: tuple[Parameter, ...],
        batch: int,
        noise: float,
        seed: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        if batch % processes:
            raise InputError(f"The {batch} atoms of a batch cannot be shared evenly by {processes} processes.")
        if batch > data.frames.shape[1]:
            raise InputError(f"A batch takes {batch} atoms; the training part has {data.frames.shape[1]}.")
        self.data, self.normalisation = data, normalisation
        self.batch, self.noise, self.seed = batch, noise, seed
        self._mine = slice(rank * batch // processes, (rank + 1) * batch // processes)
        self._targets, self._weights = targets(data[0], data.tissue_model, maps)

    def __len__(self) -> int:
        """The number of batches in an epoch; a last batch that is not full is left out."""
        return self.data.frames.shape[1] // self.batch

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The batches of an epoch, from batch number `first`: (1, channels, 1, atoms), (1, maps, 1, atoms) twice."""
        order = torch.from_numpy(np.random.default_rng((self.seed, epoch, 0)).permutation(self.data.frames.shape[1]))
        for number in range(first, len(self)):
            chosen = order[number * self.batch : (number + 1) * self.batch]
            noisy = add_noise(
                self.data.frames[:, chosen], self.noise, np.random.default_rng((self.seed, epoch, 1 + number))
            )
            noisy, chosen = noisy[:, self._mine], chosen[self._mine]
            channels = self.normalisation(
                interleaved(noisy[:, None]), torch.ones((1, len(chosen)), dtype=torch.bool), 1.0
            )
            yield channels[None], self._targets[None, :, :, chosen], self._weights[None, :, :, chosen]
