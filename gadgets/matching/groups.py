"""Fast group matching (Cauley et al., Magn Reson Med 2015;74:523).

Similar atoms form groups. A voxel is compared with the mean of every group, and then with the atoms of the most similar
groups only. The paper compresses each group further; here the atoms are already in few images.
"""

import torch
from torch import Tensor

from spokestream.gadgets.matching.atom_groups import atom_groups
from spokestream.gadgets.matching.unit_atoms import ROUNDING, UnitAtoms, energies
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["KEPT_GROUPS", "GroupedAtoms"]

KEPT_GROUPS = 4
"""Number of groups whose atoms are compared with a voxel."""


class GroupedAtoms:
    """Atoms in groups, of which only the most similar ones are searched."""

    def __init__(self, dictionary: OnePoolDictionary, basis: TemporalBasis) -> None:
        self.dictionary = dictionary
        self._atoms = UnitAtoms(dictionary, basis)
        self._groups = atom_groups(self._atoms.unit.numpy())

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the best atom of the most similar groups for every voxel; see `UnitAtoms.best`."""
        return self._atoms.best(y, self._candidates, threads, cancellation)

    def _candidates(self, y: Tensor) -> tuple[Tensor, Tensor]:
        groups = self._groups
        similar = energies(y, groups.centre)
        kept = similar.topk(min(KEPT_GROUPS, similar.shape[1])).indices
        searched = torch.zeros_like(similar, dtype=torch.bool).scatter_(1, kept, True) & (similar > 0)
        voxels, atoms = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int64)]
        for g, voxel in groups.searched_in(searched):
            energy = energies(y[voxel], groups.atoms[g])
            row, member = (energy >= energy.amax(1, keepdim=True) * (1 - ROUNDING)).nonzero().T
            voxels.append(voxel[row])
            atoms.append(torch.from_numpy(groups.members[g])[member])
        return torch.cat(voxels), torch.cat(atoms)
