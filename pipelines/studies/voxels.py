"""Maps of fingerprints that were made without a scan: by matching, or by the network of an archive, as in the node."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.models.evaluation.metrics import line
from spokestream.models.evaluation.reconstructors import Reconstructor
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION

__all__ = ["RelaxationMapper", "bias", "r_squared", "rmse"]


class RelaxationMapper:
    """The gadget of a reconstructor of T1 and T2, for slices of fingerprints.

    Args:
        reconstructor: matching, or a network.
        dictionary: its sequence is that of the fingerprints; matching searches its atoms.
        threads: CPU threads.

    """

    def __init__(self, reconstructor: Reconstructor, dictionary: OnePoolDictionary, threads: int) -> None:
        self._gadget = reconstructor.make(simulated_scan(dictionary.sequence, threads), RELAXATION, dictionary)
        self.seconds = 0.0
        """Time of the last call."""

    def __call__(self, fingerprints: NDArray[Any], basis: TemporalBasis, mask: NDArray[np.bool_]) -> dict[str, Any]:
        """The maps `t1` and `t2` (y, x) in ms, of coefficients (K, y, x) in a basis, where the mask (y, x) is true."""
        message = Fingerprints(np.asarray(fingerprints, np.complex64), basis, mask, 0, NOWHERE)
        begin = perf_counter()
        (found,) = self._gadget.feed(message)
        self.seconds = perf_counter() - begin
        return {name: found.maps[name] for name in RELAXATION.names}


def bias(found: Mapping[str, Any], true: Mapping[str, Any], where: NDArray[np.bool_]) -> dict[str, float]:
    """The mean error of every map over a mask, in its unit."""
    return {name: float(np.mean(found[name][where].astype(float) - true[name][where])) for name in RELAXATION.names}


def rmse(found: Mapping[str, Any], true: Mapping[str, Any], where: NDArray[np.bool_]) -> dict[str, float]:
    """The root-mean-square error of every map over a mask, in its unit."""
    errors = {name: found[name][where].astype(float) - true[name][where] for name in RELAXATION.names}
    return {name: float(np.sqrt(np.mean(error**2))) for name, error in errors.items()}


def r_squared(found: NDArray[Any], true: NDArray[Any]) -> float:
    """The squared correlation of values (n,); 0 if all values that were found are equal."""
    return line(found, true).r2 if np.ptp(found) else 0.0
