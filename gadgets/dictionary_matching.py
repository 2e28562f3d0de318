"""Dictionary matching: fingerprints of a slice to its quantitative maps."""

from collections.abc import Iterator

import numpy as np
import torch

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.matching.two_pools import TwoPoolAtoms, match_two_pools
from spokestream.gadgets.messages import Fingerprints, ParameterMaps
from spokestream.gadgets.scan.header import ScanContext
from spokestream.simulator.physics.dictionaries.water_fat import Dictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["DictionaryMatching", "parameter_maps"]

FEWEST_FRAMES = 8
MOST_ECHO_TIMES = 16
"""The search's bound has a term for every pair of them."""


class DictionaryMatching(Gadget[Fingerprints, ParameterMaps]):
    """Exact two-pool matching over the full grid; see `spokestream.gadgets.matching.two_pools`."""

    accepts = (Fingerprints,)

    def __init__(self, dictionary: Dictionary, source: str = "closed form") -> None:
        self.dictionary = dictionary
        self.source = source

    def start(self, scan: ScanContext) -> None:
        """Refuse a dictionary that was made for another sequence."""
        difference = self.dictionary.sequence.difference(scan.sequence)
        if difference:
            raise ScanError(f"The dictionary was made for another sequence than this scan's: {difference}.")
        if len(scan.sequence.echo_times_ms) < 2:
            raise ScanError("The sequence has one echo time, which cannot tell fat from off-resonance.")
        if scan.sequence.n_frames < FEWEST_FRAMES:
            raise ScanError(
                f"The sequence has {scan.sequence.n_frames} frames; five maps need {FEWEST_FRAMES} at least."
            )
        if len(scan.sequence.echo_times_ms) > MOST_ECHO_TIMES:
            n = len(scan.sequence.echo_times_ms)
            raise ScanError(f"The sequence has {n} echo times; matching takes up to {MOST_ECHO_TIMES}.")
        scan.provenance["dictionary"] = f"{self.source}, {self.dictionary.digest}"
        self._threads = scan.threads
        self._atoms: tuple[TemporalBasis, TwoPoolAtoms] | None = None

    def feed(self, message: Fingerprints, /) -> Iterator[ParameterMaps]:
        """Match the foreground of one slice."""
        if self._atoms is None or self._atoms[0] is not message.basis:  # of a slice that lacks frames it is its own
            self._atoms = message.basis, TwoPoolAtoms(self.dictionary, message.basis)
        yield parameter_maps(message, self._atoms[1], self._threads)


def parameter_maps(fingerprints: Fingerprints, atoms: TwoPoolAtoms, threads: int = 1) -> ParameterMaps:
    """Match every foreground voxel. Where a pool is absent (FF of exactly 1 or 0) its T1 is 0: it has none."""
    mask, grid = fingerprints.foreground, atoms.grid
    y = torch.from_numpy(np.ascontiguousarray(fingerprints.data[:, mask].T))
    match = match_two_pools(y, atoms, threads)
    values = {
        "ff": match.ff,
        "t1h2o": np.where(match.ff < 1, grid.t1h2o_ms[match.t1h2o], 0),
        "t1fat": np.where(match.ff > 0, grid.t1fat_ms[match.t1fat], 0),
        "deltaf": grid.deltaf_hz[match.deltaf],
        "b1": grid.b1[match.b1],
        "pd": np.abs(match.rho),
        "phase": np.angle(match.rho),
        "correlation": match.correlation,
    }
    maps = {}
    for name, value in values.items():
        maps[name] = np.zeros(mask.shape, np.float32)
        maps[name][mask] = value
    return ParameterMaps(maps, fingerprints.slice, fingerprints.geometry, mask, fingerprints.integrity, fingerprints)
