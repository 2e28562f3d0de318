"""The labelled regions of a scan: a NIfTI volume that was drawn on its maps, or the tissues of a simulated scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ismrmrd
import nibabel
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError
from spokestream.pipelines.archive.scans.discovery import TRUTH_ENDING
from spokestream.pipelines.files.nifti import slice_affine, split_into_volumes
from spokestream.pipelines.files.truth import read_truth

__all__ = ["Labels", "find_labels", "read_labels"]

NIFTI_ENDINGS = (".nii.gz", ".nii")
LARGEST_OFFSET_MM = 0.1
"""Largest distance between the corners of labels and maps; files of NIfTI keep single precision."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The number of the region of every voxel."""

    numbers: NDArray[np.integer[Any]]
    """(slices, y, x), the slices in the order of the maps."""
    names: Mapping[int, str]
    """The names of the regions by number, without the background 0."""


def find_labels(folder: Path, scan: str) -> Path | None:
    """The file of labels of a scan: `<scan>.nii.gz`, `<scan>.nii`, or the simulator's truth; None if there is none."""
    paths = (folder / f"{scan}{ending}" for ending in (*NIFTI_ENDINGS, TRUTH_ENDING))
    return next((path for path in paths if path.is_file()), None)


def read_labels(path: Path, images: Sequence[ismrmrd.Image]) -> Labels:
    """The labels of a scan.

    Args:
        path: a NIfTI file of whole numbers on the grid of the maps, or the truth of a simulated scan.
        images: the images of one map, in the order of their slices.

    Raises FileError if the labels lie on another grid than the maps, or are no whole numbers.

    """
    if path.name.endswith(TRUTH_ENDING):
        truth = read_truth(path)
        numbers, names = truth.label.astype(np.int64), dict(enumerate(truth.names))
        shape = (len(images), *np.squeeze(images[0].data).shape)
        if numbers.shape != shape:
            raise FileError(f"The labels in {path.name} have {numbers.shape} voxels, but the maps {shape}.")
    else:
        numbers = _from_nifti(path, images)
        names = {int(number): f"label {number}" for number in np.unique(numbers)}
    return Labels(numbers, {number: name for number, name in names.items() if number and np.any(numbers == number)})


def _from_nifti(path: Path, images: Sequence[ismrmrd.Image]) -> NDArray[np.int64]:
    try:
        file: Any = nibabel.load(path)
        values = np.asarray(file.dataobj)
    except Exception as error:  # nibabel raises errors of its own and of zlib
        raise FileError(f"The labels in {path.name} cannot be read: {' '.join(str(error).split())[:200]}.") from error
    volumes = split_into_volumes(images)
    if len(volumes) > 1:
        raise FileError(f"The slices are not one stack, so that labels in one file {path.name} do not fit them.")
    (order,) = volumes
    ny, nx = np.squeeze(images[0].data).shape
    values = values.reshape((*values.shape, 1)) if values.ndim == 2 else values
    if values.shape != (nx, ny, len(order)):
        raise FileError(f"The labels in {path.name} have {values.shape} voxels, but the maps {(nx, ny, len(order))}.")
    corners = np.array([[0, 0, 0, 1], [nx - 1, 0, 0, 1], [0, ny - 1, 0, 1]], float)
    for z, index in enumerate(order):
        offset = (corners + np.array([0, 0, z, 0])) @ file.affine.T - corners @ slice_affine(images[index]).T
        if np.abs(offset).max() > LARGEST_OFFSET_MM:
            raise FileError(f"The labels in {path.name} lie on another grid than the maps; draw them on a map.")
    if not np.array_equal(values, np.round(values)):
        raise FileError(f"The labels in {path.name} are no whole numbers.")
    numbers = np.zeros((len(order), ny, nx), np.int64)
    numbers[order] = values.transpose(2, 1, 0)
    return numbers
