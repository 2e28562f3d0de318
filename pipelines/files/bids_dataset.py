"""Maps as a derivative dataset of BIDS: one folder per subject, with a description of the dataset."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from spokestream import __version__
from spokestream.errors import InputError
from spokestream.pipelines.files.nifti import write_nifti
from spokestream.pipelines.files.outputs import ScanMaps
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["DESCRIPTION", "FOLDERS", "check_label", "write_bids_dataset"]

DESCRIPTION, IGNORED = "dataset_description.json", ".bidsignore"
FOLDERS = ("anat", "fmap")
"""The folders of a subject."""
FIELD_MAPS = {"fieldmap", "TB1map"}
"""Suffixes that BIDS keeps in the folder `fmap`; the others are in `anat`."""
IGNORED_SUFFIXES = ("FFmap", "fieldmap")
"""Suffixes that validators refuse: BIDS does not know the first, and wants a magnitude image beside the second."""


def check_label(subject: str) -> None:
    """Raises InputError unless the text can be the label of a subject."""
    if not re.fullmatch("[0-9A-Za-z]+", subject):
        raise InputError(f"A subject of BIDS is named by letters and digits, not '{subject[:40]}'.")


def write_bids_dataset(folder: Path, maps: ScanMaps, subject: str) -> list[Path]:
    """Write `dataset_description.json` and `sub-<subject>/anat/...`, `sub-<subject>/fmap/...`; returns the paths.

    Maps without a BIDS name keep ours. They, and other files that validators would refuse, are listed in `.bidsignore`.

    Args:
        folder: the dataset; it exists.
        maps: the maps of the subject.
        subject: the label of the subject.

    Raises InputError if the label has other characters than letters and digits.

    """
    check_label(subject)
    paths = [folder / DESCRIPTION, folder / IGNORED]
    paths[0].write_text(json.dumps(_description(), indent=2) + "\n", "utf-8")
    unknown = [name for name, quantity in QUANTITIES.items() if quantity.bids is None]
    paths[1].write_text("".join(f"*_{suffix}.*\n" for suffix in (*IGNORED_SUFFIXES, *unknown)), "utf-8")
    for name, values in maps.values.items():
        bids = QUANTITIES[name].bids
        place = folder / f"sub-{subject}" / FOLDERS[bids is not None and bids.suffix in FIELD_MAPS]
        place.mkdir(parents=True, exist_ok=True)
        written = write_nifti(place, QUANTITIES[name], maps.images[name], values, bids=True)
        paths += [path.rename(place / f"sub-{subject}_{path.name}") for path in written]
    return paths


def _description() -> Mapping[str, object]:
    return {
        "Name": "Quantitative maps of MR fingerprinting",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "spokestream", "Version": __version__}],
    }
