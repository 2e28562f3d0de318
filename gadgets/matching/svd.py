"""Matching in the leading singular vectors of the dictionary (McGivney et al., IEEE Trans Med Imaging 2014;33:2311).

Atoms and voxels are projected onto few vectors. Projected atoms are scaled to norm 1 again, so that the signal of an
atom finds this atom, and all are compared with the projected voxels.
"""

import torch
from torch import Tensor

from spokestream.gadgets.matching.inner_product import FEW_VOXELS, columns
from spokestream.gadgets.matching.unit_atoms import UnitAtoms, energies, times
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.dictionaries.singular_vectors import leading_vectors, normalised_gram
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["KEPT_ENERGY", "SingularVectorAtoms"]

KEPT_ENERGY = 0.999
"""Fraction of the energy of the atoms, all of norm 1, that the vectors keep at least."""


class SingularVectorAtoms:
    """Atoms in their leading singular vectors."""

    def __init__(self, dictionary: OnePoolDictionary, basis: TemporalBasis) -> None:
        self.dictionary = dictionary
        self._atoms = UnitAtoms(dictionary, basis)
        vectors, _ = leading_vectors(normalised_gram([self._atoms.unit.numpy()]), KEPT_ENERGY)
        conjugate = torch.from_numpy(vectors.copy()).conj()
        projected = self._atoms.unit @ conjugate
        self._columns = columns(projected / torch.linalg.vector_norm(projected, dim=1, keepdim=True).clamp_min(1e-30))
        self._project = conjugate.to(self._columns.dtype).resolve_conj()
        """(K, vectors)"""

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the projected atom with the largest inner product for every voxel; see `UnitAtoms.best`."""
        return self._atoms.best(y, self._candidates, threads, cancellation)

    def _candidates(self, y: Tensor) -> tuple[Tensor, Tensor]:
        blocks = torch.split(torch.complex(*times(y, self._project)), FEW_VOXELS)
        atom = torch.cat([energies(block, self._columns).argmax(1) for block in blocks])
        return torch.arange(len(y)), atom
