"""Two-component matching with clusters (Slioussarenko et al., Magn Reson Med 2024, doi 10.1002/mrm.29901).

A voxel is first compared with all mixtures of a light dictionary. Voxels with the same light mixture are a cluster.
They are then compared with the mixtures of the whole dictionary near that of the cluster. The light grid and the widths
are those of the authors' software. Where FF is 0.9 or more, the light water T1 means little, and all are compared.
"""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.errors import InputError
from spokestream.gadgets.matching.mixture import mixture_energy
from spokestream.gadgets.matching.two_pools import CHUNK, TwoPoolAtoms, inner_products, mix, reduced
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.water_fat import WaterFatDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["ClusteredAtoms", "check_reach"]

LIGHT: dict[str, tuple[float, ...]] = {
    "b1": (0.4, 0.6, 0.8, 1.0),
    "deltaf": (-120, -90, -60, -30, -15, 0, 15, 30, 60, 90, 120),
    "t1h2o": tuple(range(600, 2001, 100)),
    "t1fat": (300,),
}
"""Values of the light dictionary; the nearest ones of the whole dictionary are taken."""
WIDTH = {"b1": 0.2, "deltaf": 30, "t1h2o": 400, "t1fat": 100}
"""Largest differences from the light mixture that are searched. The authors' software leaves out the ends, but then fat
T1 of 400 ms, the last value of the published grid, would never be found."""
MOSTLY_FAT = 0.9
"""FF from which all values of water T1 are compared."""
FEW_VOXELS = 64
"""Number of voxels that are compared at once; their energies fit the caches."""


def check_reach(dictionary: WaterFatDictionary) -> None:
    """Raise InputError for a grid with values that are so far from all light ones that they would never be searched."""
    axes = dictionary.axes
    for name, places in _light_places(dictionary).items():
        distance = np.abs(axes[name][:, None] - axes[name][places]).min(1)
        if (missed := axes[name][~_within(distance, name)]).size:
            raise InputError(
                f"The matcher 'clusters' would not search {name} = {missed[0]:g} of the dictionary; use the matcher "
                "'exact'."
            )


def _within(difference: NDArray[np.float64], name: str) -> NDArray[np.bool_]:
    return np.abs(difference) <= WIDTH[name] * (1 + 1e-9)  # 0.8 - 0.6 is more than 0.2


def _light_places(dictionary: WaterFatDictionary) -> dict[str, NDArray[np.intp]]:
    """The places of the light values on every axis."""
    return {
        name: np.unique([np.abs(axis - value).argmin() for value in LIGHT[name]])
        for name, axis in dictionary.axes.items()
    }


class ClusteredAtoms:
    """A dictionary of water and fat whose mixtures are searched near those of a light dictionary."""

    def __init__(self, dictionary: WaterFatDictionary, basis: TemporalBasis) -> None:
        self.dictionary = dictionary
        self._atoms = TwoPoolAtoms(dictionary, basis)
        self._light = _light_places(dictionary)

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the mixture that explains most energy near the best light one.

        Args:
            y: (voxels, K) complex coefficients.
            threads: CPU threads; the result does not depend on their number.
            cancellation: the sign to stop, which is looked at before every cluster.

        Raises:
            ValueError: if a coefficient is not finite.
            CancelledScanError: if the search was cancelled.

        """
        with workers(threads) as pool:
            search = partial(self._search, sign=cancellation or Cancellation())
            parts = list(pool.map(search, torch.split(y, CHUNK)))
        index, ff, rho, correlation = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        axes = self.dictionary.axes
        places = np.unravel_index(index, tuple(len(axis) for axis in axes.values()))
        return Match(dict(zip(axes, places, strict=True)), ff, rho, correlation)

    def _search(self, y: Tensor, sign: Cancellation) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z, norm = reduced(y, self._atoms)
        sign.check()
        index = self._best(z, self._light)
        fat = mix(z, index, self._atoms)[0] >= MOSTLY_FAT
        keys, cluster = np.unique(torch.stack([index, fat.to(index.dtype)], 1).numpy(), axis=0, return_inverse=True)
        for number, (light, is_fat) in enumerate(keys.tolist()):
            sign.check()
            voxels = torch.from_numpy((cluster == number).nonzero()[0])
            index[voxels] = self._best(z[voxels], self._near(light, bool(is_fat)))
        ff, rho, energy = mix(z, index, self._atoms)
        return index, ff, rho * norm, energy.clamp(0, 1).sqrt()

    def _near(self, light: int, is_fat: bool) -> dict[str, NDArray[np.intp]]:
        """The places on every axis that are near a light mixture, which is given by its number on the grid."""
        axes = self.dictionary.axes
        places = np.unravel_index(light, tuple(len(axis) for axis in axes.values()))
        near = {}
        for (name, axis), place in zip(axes.items(), places, strict=True):
            all_of_it = is_fat and name == "t1h2o"
            near[name] = np.arange(len(axis)) if all_of_it else _within(axis - axis[place], name).nonzero()[0]
        return near

    def _best(self, z: Tensor, places: dict[str, NDArray[np.intp]]) -> Tensor:
        """Number on the grid (voxels,) of the best mixture of some places on every axis."""
        return torch.cat([self._best_of_few(few, places) for few in torch.split(z, FEW_VOXELS)])

    def _best_of_few(self, z: Tensor, places: dict[str, NDArray[np.intp]]) -> Tensor:
        atoms, n = self._atoms, len(z)
        deltaf, water, fat = (torch.from_numpy(places[name]) for name in ("deltaf", "t1h2o", "t1fat"))
        energy, index = torch.full((n,), -1.0), torch.zeros(n, dtype=torch.int64)
        rows = torch.arange(n).repeat(len(deltaf))
        for b in places["b1"].tolist():
            cw, cf = inner_products(z[rows], b, deltaf.repeat_interleave(n), atoms)
            found = mixture_energy(
                cw[water][:, None], cf[fat][None],
                atoms.water_norm[b, water, None, None].float(), atoms.fat_norm[b, fat, None].float(),
                atoms.overlap[b][water][:, fat, None].float(),
            ).view(len(water), len(fat), len(deltaf), n)  # fmt: skip
            best, place = found.flatten(0, 2).max(0)
            d, f, w = place % len(deltaf), place // len(deltaf) % len(fat), place // len(deltaf) // len(fat)
            number = (b * len(atoms.demodulation) + deltaf[d]) * atoms.water.shape[1] + water[w]
            better = best > energy
            index = torch.where(better, number * atoms.fat.shape[1] + fat[f], index)
            energy = torch.where(better, best, energy)
        return index
