"""The DICOM files of a scan: of every map, MR images and parametric maps."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError
from spokestream.pipelines.files.dicom.identity import check_installed, identity_of
from spokestream.pipelines.files.dicom.mr_image import mr_images
from spokestream.pipelines.files.dicom.parametric_map import parametric_map
from spokestream.pipelines.files.nifti import split_into_volumes
from spokestream.simulator.physics.quantities import QUANTITIES

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["is_our_dicom", "write_dicom"]

NAMES = re.compile(r"(\w+)-(mr-\d{4}|pm(-\d+)?)\.dcm")


def is_our_dicom(name: str) -> bool:
    """Whether `write_dicom` may have written a file of this name."""
    match = NAMES.fullmatch(name)
    return match is not None and match[1] in QUANTITIES


def write_dicom(
    directory: Path,
    images: Mapping[str, Sequence[ismrmrd.Image]],
    values: Mapping[str, NDArray[np.float32]],
    header_xml: str,
    source: "Dataset | None" = None,
) -> list[Path]:
    """Write MR images `<name>-mr-0001.dcm`, ... and a parametric map `<name>-pm.dcm` of every map; returns the paths.

    Slices that do not form one evenly spaced, parallel stack become parametric maps `<name>-pm-1.dcm`, ... of one slice
    each.

    Args:
        directory: where to write; it exists.
        images: name of a map -> its images, one a slice.
        values: name of a map -> (slices, y, x) in the map's unit, in the order of the images; NaN where the map has no
            meaning.
        header_xml: the ISMRMRD header of the scan.
        source: an image from which patient, study, frame of reference and equipment are taken; None is anonymous.

    Raises InputError if the packages of the extra `dicom` are not installed, and FileError if attributes of the source
    are not valid.

    """
    check_installed()
    identity = identity_of([image for of_one_map in images.values() for image in of_one_map], header_xml, source)
    paths: list[Path] = []

    def write(name: str, file: "Dataset") -> None:
        paths.append(directory / f"{name}.dcm")
        file.save_as(paths[-1], enforce_file_format=True)

    for name, of_one_map in images.items():
        quantity, digest = QUANTITIES[name], _digest(of_one_map)
        slices = mr_images(identity, quantity, of_one_map, values[name], digest)
        for z, file in enumerate(slices):
            write(f"{name}-mr-{z + 1:04d}", file)
        volumes = split_into_volumes(of_one_map)
        for i, order in enumerate(volumes):
            try:
                file = parametric_map(
                    [slices[z] for z in order], quantity, [of_one_map[z] for z in order], values[name][order], digest,
                    i + 1,
                )  # fmt: skip
            except (ValueError, TypeError) as error:  # highdicom checks what the source says of patient and study
                raise FileError(
                    f"The source of patient and study has attributes that are no DICOM: {error}."
                ) from error
            write(f"{name}-pm" if len(volumes) == 1 else f"{name}-pm-{i + 1}", file)
    return paths


def _digest(images: Sequence[ismrmrd.Image]) -> str:
    digest = hashlib.sha256()
    for image in images:
        digest.update(image.attribute_string.encode() + image.data.tobytes() + bytes(image.getHead())[:-4])
    return digest.hexdigest()
