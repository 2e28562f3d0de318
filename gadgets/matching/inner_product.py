"""Comparison of every voxel with all atoms, without any shortcut (Ma et al., Nature 2013;495:187).

The paper compares signals at every time point. Here voxel and atoms are compared in the images of the temporal basis,
which keep all but 10^-6 of the atoms' energy, or in the frames themselves; nothing is left out beyond that.
"""

import torch
from torch import Tensor

from spokestream.gadgets.matching.unit_atoms import ROUNDING, UnitAtoms, energies
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["FEW_VOXELS", "AllAtoms", "columns"]

FEW_VOXELS = 16
"""Number of voxels that are compared with all atoms at once; their products fit the caches, which halves the time."""
ON_CUDA = 1024
"""The same number on a CUDA device: enough for all its processors, and 1 GB with 80,000 atoms."""


class AllAtoms:
    """Atoms that are all compared with every voxel, on a device."""

    def __init__(self, dictionary: OnePoolDictionary, basis: TemporalBasis, device: str = "cpu") -> None:
        self.dictionary = dictionary
        self._atoms = UnitAtoms(dictionary, basis)
        self._columns = columns(self._atoms.unit).to(device)
        self._at_once = FEW_VOXELS if device == "cpu" else ON_CUDA

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the atom with the largest normalised inner product for every voxel; see `UnitAtoms.best`."""
        return self._atoms.best(y, self._candidates, threads, cancellation)

    def _candidates(self, y: Tensor) -> tuple[Tensor, Tensor]:
        voxels, atoms = [], []
        for number, few in enumerate(torch.split(y.to(self._columns.device), self._at_once)):
            energy = energies(few, self._columns)
            best = energy.amax(1, keepdim=True)
            voxel, atom = ((energy >= best * (1 - ROUNDING)) & (best > 0)).nonzero().T
            voxels.append(voxel + number * self._at_once)
            atoms.append(atom)
        return torch.cat(voxels).cpu(), torch.cat(atoms).cpu()


def columns(unit: Tensor) -> Tensor:
    """Atoms (atoms, K) as conjugated columns (K, atoms) in single precision."""
    return unit.conj().T.to(torch.complex64 if unit.is_complex() else torch.float32).resolve_conj().contiguous()
