"""Matching's maps of a training set, which are the targets of training where nobody knows the truth.

Balsiger et al. (Med Image Anal 2020, 101741) scanned patients: their networks were trained on the maps of dictionary
matching, with its errors.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.models.datasets.shards import TrainingSet, matched_path
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.whole_files import whole_hdf5

__all__ = ["match_training_set"]


def match_training_set(folder: Path, threads: int = 2, progress: Callable[[int, int], object] | None = None) -> int:
    """Store the maps of matching for the subjects of a training set that lack them, as `matched-000017.h5`.

    Args:
        folder: the training set.
        threads: CPU threads.
        progress: called with the number of subjects that are done and the number of all.

    Returns:
        The number of subjects matched by this call; the others were matched before.

    Raises FileError for a folder without a training set.

    """
    data = TrainingSet(folder)
    missing = [seed for seed in data.seeds if not matched_path(folder, seed).exists()]
    done = len(data.seeds) - len(missing)
    if progress:
        progress(done, len(data.seeds))
    if not missing:
        return 0
    model = data.tissue_model
    matching = DictionaryMatching(simulated_scan(data.sequence, threads), model, model.dictionary(data.sequence))
    for seed in missing:
        subject = TrainingSet(folder, [seed])
        found = []
        for level in range(len(subject)):
            (made,) = matching.feed(subject.message(level))
            found.append(made.maps)
        with whole_hdf5(matched_path(folder, seed)) as file:
            for name in model.names:
                file[name] = np.stack([maps[name] for maps in found])
                file[name].attrs["unit"] = QUANTITIES[name].unit
        done += 1
        if progress:
            progress(done, len(data.seeds))
    return len(missing)
