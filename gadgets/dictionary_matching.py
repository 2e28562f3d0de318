"""Dictionary matching: computes the quantitative maps of a slice from its fingerprints."""

from collections.abc import Iterator

import numpy as np
import torch

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.matching.two_pools import MOST_ECHO_TIMES, TwoPoolAtoms
from spokestream.gadgets.messages import Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.dictionaries.match import Dictionary, Match
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.dictionaries.water_fat import WaterFatDictionary
from spokestream.simulator.physics.fat_spectrum import FIELD_TOLERANCE
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["DictionaryMatching", "check_dictionary", "parameter_maps"]

WARN_ABOVE = 0.1
"""Fraction of a slice's voxels whose search may be limited without a warning."""

Atoms = OnePoolAtoms | TwoPoolAtoms


class DictionaryMatching(Gadget[Fingerprints, ParameterMaps]):
    """Finds the best combination of dictionary values for every voxel, by a search over the full grid.

    The search is exact, except in voxels whose signal is not that of tissue. Their number is recorded in the ledger as
    `not_exhaustive`, and the client gets a warning if they are many.

    The dictionary may have one pool or two.

    Args:
        scan: the scan.
        model: the tissue model that the dictionary belongs to.
        dictionary: the dictionary of the scan's sequence.
        source: origin of the dictionary, for the provenance.

    Raises ScanError if the dictionary was made for another sequence, or if the sequence does not encode the
    parameters of the model.

    """

    accepts = (Fingerprints,)

    def __init__(
        self, scan: ScanContext, model: TissueModel, dictionary: Dictionary, source: str = "closed form"
    ) -> None:
        check_dictionary(scan, model, dictionary)
        model.check(scan.sequence)
        n_echoes = len(scan.sequence.echo_times_ms)
        if isinstance(dictionary, WaterFatDictionary) and n_echoes > MOST_ECHO_TIMES:
            raise ScanError(f"The sequence has {n_echoes} echo times; matching takes up to {MOST_ECHO_TIMES}.")
        scan.provenance["dictionary"] = f"{source}, {dictionary.digest}"
        self._dictionary = dictionary
        self._scan = scan
        of_voxel = [p.name for p in model.parameters if not p.pool and p.name in dictionary.axes]
        self._limits = {name: (float(dictionary.axes[name][0]), float(dictionary.axes[name][-1])) for name in of_voxel}
        self._atoms: tuple[TemporalBasis, Atoms] | None = None

    def feed(self, message: Fingerprints, /) -> Iterator[ParameterMaps]:
        """Match the foreground of one slice."""
        if self._atoms is None or self._atoms[0] is not message.basis:  # a slice with missing frames has its own basis
            self._atoms = message.basis, _in_basis(self._dictionary, message.basis)
        atoms, mask = self._atoms[1], message.foreground
        y = torch.from_numpy(np.ascontiguousarray(message.data[:, mask].T))
        match = atoms.match(y, self._scan.threads, self._scan.cancellation)
        self._scan.integrity.record(message.slice, "not_exhaustive", match.limited)
        if match.limited > WARN_ABOVE * mask.sum():
            self._scan.log.warning(
                "Slice %d: the signal of %d voxels is not that of tissue, so that they were compared with the most "
                "likely part of the dictionary only; check trajectory and sequence.",
                message.slice + 1, match.limited,
            )  # fmt: skip
        maps = parameter_maps(match, atoms.dictionary, mask)
        yield ParameterMaps(maps, message.slice, message.geometry, mask, message, limits=self._limits)


def check_dictionary(scan: ScanContext, model: TissueModel, dictionary: Dictionary) -> None:
    """Raise ScanError if a dictionary was made for other parameters than the model's, another sequence or field."""
    given = {*dictionary.axes} | ({model.fraction} if isinstance(dictionary, WaterFatDictionary) else set())
    if given != {*model.names}:
        raise ScanError(
            f"The dictionary is over {', '.join(dictionary.axes)}; maps of {model.title} need one over "
            f"{', '.join(name for name in model.names if name != model.fraction)}."
        )
    difference = dictionary.sequence.difference(scan.sequence)
    if difference:
        raise ScanError(f"The dictionary was made for another sequence than this scan's: {difference}.")
    if isinstance(dictionary, WaterFatDictionary):
        field_t = dictionary.spectrum.field_t
        if abs(scan.field_t / field_t - 1) > FIELD_TOLERANCE:
            raise ScanError(f"The dictionary was made for {field_t:.3g} T, not for this scan's {scan.field_t:g} T.")


def parameter_maps(match: Match, dictionary: Dictionary, mask: Mask) -> dict[str, Float]:
    """The maps (y, x) of the dictionary, proton density, phase and match quality, from the match of a mask's voxels."""
    values = {
        **dictionary.values(match),
        "pd": np.abs(match.rho),
        "phase": np.angle(match.rho),
        "correlation": match.correlation,
    }
    maps = {}
    for name, value in values.items():
        maps[name] = np.zeros(mask.shape, np.float32)
        maps[name][mask] = value
    return maps


def _in_basis(dictionary: Dictionary, basis: TemporalBasis) -> Atoms:
    """The atoms in a temporal basis, with the search for dictionaries of their number of pools."""
    if isinstance(dictionary, WaterFatDictionary):
        return TwoPoolAtoms(dictionary, basis)
    assert isinstance(dictionary, OnePoolDictionary)
    return OnePoolAtoms(dictionary, basis)
