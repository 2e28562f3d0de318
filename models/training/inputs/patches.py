"""Batches of training patches: slices are augmented, normalised as in the node, and cut into patches."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from spokestream.errors import InputError
from spokestream.gadgets.network.network_input import crop_around, normalised_crop
from spokestream.gadgets.workers import workers
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.training.inputs.augmentation import Augmentation, mirrored, vary
from spokestream.models.training.inputs.normalisation import Normalisation
from spokestream.models.training.inputs.targets import targets
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter

__all__ = ["Patches"]

EFFICIENCY_ERROR = 0.003
"""Standard deviation of the error of the inversion efficiency that networks get: the node can only estimate it."""

Patch = tuple[Tensor, Tensor, Tensor]


class Patches:
    """Batches of (input, target, weight) patches of a training set.

    Every slice gives `per_slice` patches in each epoch, centred on tissue; a batch is made of several slices. Random
    numbers depend only on seed, epoch and slice, so that an interrupted training continues as if it had not stopped.

    Args:
        data: the slices.
        normalisation: the normalisation of the network.
        maps: targets and their ranges.
        size: pixels along each side of a patch at the output of the network.
        border: pixels that the network crops on every side.
        per_slice: patches of a slice.
        batch: patches of a batch; a multiple of `per_slice`.
        seed: of all random numbers.
        augmentation: None leaves slices as they are.
        conditioned: whether the normalisation gets the inversion efficiency of every slice; else it gets 1, as in the
            node for a network that is not conditioned on it.
        by_value: whether weights grow with the value, see `targets`.
        rank: number of this process.
        processes: number of processes. Each makes an equal part of the patches of a batch.
        threads: threads that make the next batches while one is used, as a GPU needs them faster than one thread can
            make them; with 0, the caller waits for every batch. The batches are the same.

    Raises InputError for batches that do not consist of whole slices, cannot be shared evenly, or are larger than the
    set.

    """

    def __init__(
        self,
        data: TrainingSet,
        normalisation: Normalisation,
        *,
        maps: tuple[Parameter, ...],
        size: int,
        border: int,
        per_slice: int,
        batch: int,
        seed: int,
        augmentation: Augmentation | None = None,
        conditioned: bool = True,
        by_value: bool = False,
        rank: int = 0,
        processes: int = 1,
        threads: int = 0,
    ) -> None:
        if batch % per_slice:
            raise InputError(f"A batch holds whole slices: {batch} patches are no multiple of {per_slice} a slice.")
        if batch % processes:
            raise InputError(f"The {batch} patches of a batch cannot be shared evenly by {processes} processes.")
        if batch // per_slice > len(data):
            raise InputError(f"A batch takes {batch // per_slice} slices; the training set has {len(data)}.")
        self.data, self.normalisation, self.maps = data, normalisation, maps
        self.size, self.border, self.per_slice, self.seed = size, border, per_slice, seed
        self.slices, self.augmentation, self.conditioned = batch // per_slice, augmentation, conditioned
        self.by_value, self.threads = by_value, threads
        mine = np.arange(rank * batch // processes, (rank + 1) * batch // processes)
        # for every patch of this process: the slice within the batch, and the number of the patch within the slice
        self._slice, self._number = np.divmod(mine, per_slice)

    def __len__(self) -> int:
        """The number of batches in an epoch; a last batch that is not full is left out."""
        return len(self.data) // self.slices

    def batches(self, epoch: int, first: int = 0) -> Iterator[Patch]:
        """The batches of an epoch, from batch number `first`."""
        order = np.random.default_rng((self.seed, epoch, 0)).permutation(len(self.data))

        def made(batch: int) -> Patch:
            return self._of_slices(order[batch * self.slices : (batch + 1) * self.slices], epoch)

        if not self.threads:
            yield from map(made, range(first, len(self)))
            return
        with workers(self.threads) as pool:
            waiting = deque(pool.submit(made, batch) for batch in range(first, min(first + self.threads, len(self))))
            for batch in range(first, len(self)):
                patch = waiting.popleft().result()
                if batch + self.threads < len(self):
                    waiting.append(pool.submit(made, batch + self.threads))
                yield patch

    def _targets(self, item: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return targets(item, self.data.tissue_model, self.maps, by_value=self.by_value)

    def _of_slices(self, chosen: NDArray[np.int64], epoch: int) -> Patch:
        """The batch of these slices."""
        patches = [
            patch
            for which in np.unique(self._slice)
            for patch in self._of_slice(int(chosen[which]), epoch, self._number[self._slice == which])
        ]
        x, target, weight = (torch.stack(parts) for parts in zip(*patches, strict=True))
        return x, target, weight

    def _of_slice(self, index: int, epoch: int, numbers: NDArray[np.int64]) -> Iterator[Patch]:
        """The patches of a slice with these numbers."""
        rng = np.random.default_rng((self.seed, epoch, 1 + index))
        item = self.data[index]
        if self.augmentation and self.augmentation.mirrored:
            item = mirrored(item, rng)
        fingerprints, foreground = item["fingerprints"], item["foreground"]
        if self.augmentation:
            fingerprints = vary(fingerprints, foreground, self.augmentation, rng)
        estimate = float(item["inversion_efficiency"]) + rng.normal(0, EFFICIENCY_ERROR)
        efficiency = estimate if self.conditioned else 1.0
        reach = self.size // 2 + self.border
        crop = crop_around(foreground.numpy(), reach)
        channels = normalised_crop(self.normalisation, fingerprints, foreground, efficiency, crop)
        target, weight = (pad(t, (self.size // 2,) * 4) for t in self._targets(item))
        tissue = torch.nonzero(foreground)
        for row, column in tissue[rng.integers(len(tissue), size=self.per_slice)[numbers]].tolist():
            top, left = (i - reach - side.start for i, side in zip((row, column), crop, strict=True))
            seen = self.size + 2 * self.border
            given = slice(row, row + self.size), slice(column, column + self.size)
            yield channels[:, top : top + seen, left : left + seen], target[:, *given], weight[:, *given]
