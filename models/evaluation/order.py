"""Which networks do better than which, over all maps at once."""

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

__all__ = ["mean_ranks"]


def mean_ranks(errors: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    """Mean over the maps of a network's rank among the others, best first; 1 has the smallest error of every map.

    Units and spans of maps do not matter to ranks. Equal errors share theirs.

    Args:
        errors: network -> map -> error; maps that any of them lacks do not count.

    Returns:
        Nothing where no map is left.

    """
    maps = [m for m in next(iter(errors.values()), {}) if all(of.get(m) is not None for of in errors.values())]
    if not maps:
        return {}
    table = np.array([[of[m] for m in maps] for of in errors.values()], float)
    means = rankdata(table, axis=0).mean(1)
    return dict(sorted(zip(errors, means.tolist(), strict=True), key=lambda item: item[1]))
