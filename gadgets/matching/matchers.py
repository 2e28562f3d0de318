"""The matchers by name: ways to find the best atoms of a dictionary for every voxel."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from torch import Tensor

from spokestream.errors import InputError
from spokestream.gadgets.matching.clusters import ClusteredAtoms, check_reach
from spokestream.gadgets.matching.groups import GroupedAtoms
from spokestream.gadgets.matching.inner_product import AllAtoms
from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.matching.spatiotemporal import SpatiotemporalAtoms
from spokestream.gadgets.matching.svd import SingularVectorAtoms
from spokestream.gadgets.matching.two_pools import TwoPoolAtoms
from spokestream.gadgets.messages import Mask
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.simulator.physics.dictionaries.match import Dictionary, Match
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.dictionaries.water_fat import WaterFatDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["ONE_POOL", "TWO_POOLS", "Matcher", "check_matcher", "make_matcher", "match_slice", "on_device"]


class Matcher(Protocol):
    """The atoms of a dictionary in a temporal basis, and a way to search them."""

    @property
    def dictionary(self) -> Dictionary:
        """The dictionary of the atoms."""

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the best atom, or the best mixture of two, for every voxel.

        Args:
            y: (voxels, K) complex coefficients.
            threads: CPU threads; the result does not depend on their number.
            cancellation: the sign to stop, which is looked at between pieces.

        Raises CancelledScanError if the search was cancelled.

        """


ONE_POOL: dict[str, Callable[[OnePoolDictionary, TemporalBasis], Matcher]] = {
    "exact": OnePoolAtoms,
    "inner-product": AllAtoms,
    "svd": SingularVectorAtoms,
    "groups": GroupedAtoms,
    "spatiotemporal": SpatiotemporalAtoms,
}
"""Matchers of dictionaries of one pool."""
TWO_POOLS: dict[str, Callable[..., Matcher]] = {
    "exact": TwoPoolAtoms,
    "promising": partial(TwoPoolAtoms, exact=False),
    "clusters": ClusteredAtoms,
}
"""Matchers of dictionaries of water and fat, made from dictionary, basis and, if one runs there, a device."""


def check_matcher(name: str, dictionary: Dictionary) -> None:
    """Raise InputError if there is no matcher of this name that can search the dictionary."""
    two = isinstance(dictionary, WaterFatDictionary)
    able = TWO_POOLS if two else ONE_POOL
    if name not in able:
        raise InputError(
            f"The matcher '{name[:20]}' cannot search a dictionary of {'two pools' if two else 'one pool'}; "
            f"choose one of {', '.join(able)}."
        )
    if name == "clusters" and isinstance(dictionary, WaterFatDictionary):
        check_reach(dictionary)


def make_matcher(name: str, dictionary: Dictionary, basis: TemporalBasis, device: str = "cpu") -> Matcher:
    """The matcher of a name, with the atoms in a temporal basis. Raises InputError as `check_matcher`.

    On a CUDA device, the exact matcher of one pool compares all atoms, which takes less time there than bounds.
    """
    check_matcher(name, dictionary)
    there = on_device(name, device)
    if isinstance(dictionary, WaterFatDictionary):
        return TWO_POOLS[name](dictionary, basis, device) if there else TWO_POOLS[name](dictionary, basis)
    assert isinstance(dictionary, OnePoolDictionary)
    return AllAtoms(dictionary, basis, device) if there else ONE_POOL[name](dictionary, basis)


def on_device(name: str, device: str) -> bool:
    """Whether the matcher of a name runs on this device, and not on the CPU."""
    return device != "cpu" and name in ("exact", "promising")


def match_slice(
    matcher: Matcher, y: Tensor, mask: Mask, threads: int = 1, cancellation: Cancellation | None = None
) -> Match:
    """Find the best atoms of a slice: with its neighbours for every voxel if the matcher compares patches.

    Args:
        matcher: the atoms and the way to search them.
        y: (voxels, K) complex coefficients of the pixels of the mask, in its order.
        mask: (y, x) pixels that hold tissue.
        threads: CPU threads; the result does not depend on their number.
        cancellation: the sign to stop.

    Raises CancelledScanError if the search was cancelled.

    """
    if isinstance(matcher, SpatiotemporalAtoms):
        return matcher.match_slice(y, mask, threads, cancellation)
    return matcher.match(y, threads, cancellation)
