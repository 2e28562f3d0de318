"""Dictionary matching: computes the quantitative maps of a slice from its fingerprints."""

from collections.abc import Iterator

import numpy as np
import torch

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.matching.matchers import Matcher, check_matcher, make_matcher, match_slice, on_device
from spokestream.gadgets.matching.two_pools import MOST_ECHO_TIMES
from spokestream.gadgets.messages import Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.dictionaries.match import Dictionary, Match
from spokestream.simulator.physics.dictionaries.water_fat import WaterFatDictionary
from spokestream.simulator.physics.fat_spectrum import FIELD_TOLERANCE
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["DictionaryMatching", "check_dictionary", "parameter_maps"]

WARN_ABOVE = 0.1
"""Fraction of a slice's voxels whose search may be limited without a warning."""

FEWEST_ECHO_TIMES = 2
"""Fewest echo times that must be left of several: one alone does not tell fat from off-resonance."""


class DictionaryMatching(Gadget[Fingerprints, ParameterMaps]):
    """Finds the best combination of dictionary values for every voxel.

    The matcher `exact` searches the full grid, except in voxels whose signal is not that of tissue. Their number is
    recorded in the ledger as `not_exhaustive`, and the client gets a warning if they are many.

    The dictionary may have one pool or two.

    Args:
        scan: the scan.
        model: the tissue model that the dictionary belongs to.
        dictionary: the dictionary of the scan's sequence.
        source: origin of the dictionary, for the provenance.
        matcher: name of the way to search it, see `MATCHERS`; `auto` is exact.

    Raises:
        ScanError: if the dictionary was made for another sequence, or if the sequence does not encode the parameters
            of the model.
        InputError: if the matcher cannot search a dictionary with this number of pools.

    """

    accepts = (Fingerprints,)

    def __init__(
        self,
        scan: ScanContext,
        model: TissueModel,
        dictionary: Dictionary,
        source: str = "closed form",
        matcher: str = "exact",
    ) -> None:
        matcher = "exact" if matcher == "auto" else matcher
        check_matcher(matcher, dictionary)
        check_dictionary(scan, model, dictionary)
        model.check(scan.sequence)
        n_echoes = len(scan.sequence.echo_times_ms)
        if isinstance(dictionary, WaterFatDictionary) and n_echoes > MOST_ECHO_TIMES:
            raise ScanError(f"The sequence has {n_echoes} echo times; matching takes up to {MOST_ECHO_TIMES}.")
        scan.provenance["dictionary"] = f"{source}, {dictionary.digest}"
        scan.provenance["matcher"] = f"{matcher} on {scan.device}" if on_device(matcher, scan.device) else matcher
        self._dictionary, self._name = dictionary, matcher
        self._scan = scan
        of_voxel = [p.name for p in model.parameters if not p.pool and p.name in dictionary.axes]
        self._limits = {name: (float(dictionary.axes[name][0]), float(dictionary.axes[name][-1])) for name in of_voxel}
        self._matcher: tuple[TemporalBasis, Matcher] | None = None

    def feed(self, message: Fingerprints, /) -> Iterator[ParameterMaps]:
        """Match the foreground of one slice."""
        unmeasured = message.basis.unmeasured_te_ms
        if unmeasured and len(self._scan.sequence.echo_times_ms) - len(unmeasured) < FEWEST_ECHO_TIMES:
            raise ScanError(
                f"Slice {message.slice + 1} cannot be matched: every frame with the echo time "
                f"{' or '.join(f'{te_ms:g}' for te_ms in unmeasured)} ms is missing."
            )
        if self._matcher is None or self._matcher[0] is not message.basis:  # a slice with missing frames has its own
            self._matcher = message.basis, make_matcher(self._name, self._dictionary, message.basis, self._scan.device)
        matcher, mask = self._matcher[1], message.foreground
        y = torch.from_numpy(np.ascontiguousarray(message.data[:, mask].T))
        match = match_slice(matcher, y, mask, self._scan.threads, self._scan.cancellation)
        self._scan.integrity.record(message.slice, "not_exhaustive", match.limited)
        if match.limited > WARN_ABOVE * mask.sum():
            self._scan.log.warning(
                "Slice %d: the signal of %d voxels is not that of tissue, so that they were compared with the most "
                "likely part of the dictionary only; check trajectory and sequence.",
                message.slice + 1, match.limited,
            )  # fmt: skip
        maps = parameter_maps(match, matcher.dictionary, mask)
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
