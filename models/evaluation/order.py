"""The order of networks by the errors of all their maps."""

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

__all__ = ["mean_ranks"]


def mean_ranks(errors: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    """The mean rank of every network over the maps, best first; 1 means the smallest error in every map.

    Ranks do not depend on units and ranges of maps. Equal errors get the mean of their ranks.

    Args:
        errors: network -> map -> error. Maps that are missing for any network are not used.

    Returns:
        Network -> mean rank; empty if no map can be used.

    """
    maps = [m for m in next(iter(errors.values()), {}) if all(of.get(m) is not None for of in errors.values())]
    if not maps:
        return {}
    table = np.array([[of[m] for m in maps] for of in errors.values()], float)
    means = rankdata(table, axis=0).mean(1)
    return dict(sorted(zip(errors, means.tolist(), strict=True), key=lambda item: item[1]))
