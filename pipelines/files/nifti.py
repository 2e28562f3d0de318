"""Maps as NIfTI volumes, oriented in the patient, with a JSON file beside each that says what they are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ismrmrd
import nibabel
import numpy as np
from numpy.typing import NDArray

from spokestream import __version__
from spokestream.pipelines.files.image_notes import image_counts, image_provenance
from spokestream.simulator.physics.quantities import Quantity

__all__ = ["first_pixel_lps", "slice_affine", "split_into_volumes", "write_nifti"]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SCANNER = 1
"""NIfTI's code of coordinates of the scanner."""


def write_nifti(
    directory: Path,
    quantity: Quantity,
    images: Sequence[ismrmrd.Image],
    values: NDArray[np.float32],
    *,
    bids: bool = False,
) -> list[Path]:
    """Write the slices of one map as `<name>.nii.gz` with `<name>.json`; returns the paths of the files.

    Slices that do not form one evenly spaced, parallel stack are written as volumes `<name>-1`, `<name>-2`, ... of one
    slice each.

    Args:
        directory: where to write.
        quantity: the quantity of the map.
        images: the images of the map, which give the geometry.
        values: (slices, y, x) in the map's unit, in the order of the images; NaN where the map has no meaning.
        bids: use the name and the unit of BIDS for quantities that have one (`desc-water_T1map` in s). Volumes of
            one slice are then distinguished by the entity `chunk`.

    """
    theirs = quantity.bids if bids else None
    unit, factor = (theirs.unit, theirs.per_unit) if theirs else (quantity.unit, 1.0)
    volumes = split_into_volumes(images)
    paths = []
    for i, slices in enumerate(volumes):
        stack = [images[z] for z in slices]
        data = np.stack([values[z].T for z in slices], axis=-1) * np.float32(factor)  # (x, y, z)
        affine = _stack_affine(stack)
        nifti: Any = nibabel.Nifti1Image(data, affine)  # type: ignore[no-untyped-call]
        nifti.set_sform(affine, SCANNER)
        nifti.set_qform(affine, SCANNER)
        nifti.header.set_xyzt_units("mm")
        nifti.header["descrip"] = f"{quantity.title} [{unit}]"
        nifti.header["cal_min"] = quantity.low * factor
        nifti.header["cal_max"] = np.nanmax(data, initial=0) if quantity.high is None else quantity.high * factor
        if theirs:
            stem = theirs.name if len(volumes) == 1 else f"chunk-{i + 1}_{theirs.name}"
        else:
            stem = quantity.name if len(volumes) == 1 else f"{quantity.name}-{i + 1}"
        nibabel.save(nifti, directory / f"{stem}.nii.gz")
        about = _about(quantity, unit, stack) | (_bids_fields(quantity, unit) if bids else {})
        (directory / f"{stem}.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", "utf-8")
        paths += [directory / f"{stem}.nii.gz", directory / f"{stem}.json"]
    return paths


def _about(quantity: Quantity, unit: str, stack: Sequence[ismrmrd.Image]) -> dict[str, Any]:
    """What a volume holds: quantity, unit, rule of validity, how it was made, and counts of what was wrong."""
    provenance = image_provenance(stack)
    return {
        "name": quantity.name,
        "title": quantity.title,
        "unit": unit,
        "valid": quantity.validity,
        "invalid": "NaN",
        **({"codes": {str(code): meaning for code, meaning in quantity.codes.items()}} if quantity.codes else {}),
        "sequence": provenance.get("sequence", "unknown"),
        "software": "spokestream",
        "version": __version__,
        "provenance": provenance,
        "integrity": [{"slice": int(image.slice), **image_counts(image)} for image in stack],
    }


def _bids_fields(quantity: Quantity, unit: str) -> dict[str, Any]:
    return {
        "Units": unit,
        "Description": f"{quantity.title}, valid where {quantity.validity}",
        "SkullStripped": False,  # what is left out is air
        "GeneratedBy": [{"Name": "spokestream", "Version": __version__}],
    }


def split_into_volumes(images: Sequence[ismrmrd.Image]) -> list[list[int]]:
    """Indices of images: all in one stack along the slice direction if they form a stack, otherwise one by one."""
    normal = np.array(images[0].slice_dir)
    order = sorted(range(len(images)), key=lambda z: float(normal @ np.array(images[z].position)))
    if len(order) == 1:
        return [order]
    stack = [images[z] for z in order]
    steps = np.diff([image.position for image in stack], axis=0)
    even = np.allclose(steps, steps[0], atol=0.05) and normal @ steps[0] > 0.05
    alike = all(np.allclose(_grid(image), _grid(stack[0]), atol=1e-4) for image in stack)
    return [order] if even and alike else [[z] for z in range(len(images))]


def slice_affine(image: ismrmrd.Image) -> NDArray[np.float64]:
    """The matrix (4, 4) from voxel indices (x, y, z) of one slice to the voxel's centre in RAS millimetres."""
    affine = np.eye(4)
    affine[:3, :3] = _axes(image)
    affine[:3, 3] = first_pixel_lps(image)
    return np.asarray(LPS_TO_RAS @ affine)


def first_pixel_lps(image: ismrmrd.Image) -> NDArray[np.float64]:
    """The centre (3,) of the first pixel of a slice in LPS millimetres.

    The origin of the Fourier transform is pixel n // 2, so that the centre of this pixel is at `position`.
    """
    middle = np.array(image.matrix_size, float) // 2
    return np.asarray(np.array(image.position) - _axes(image) @ middle)


def _axes(image: ismrmrd.Image) -> NDArray[np.float64]:
    """The steps (3, 3) from one voxel to the next along x, y and z, as columns in LPS millimetres."""
    size = np.array(image.field_of_view) / np.array(image.matrix_size, float)
    return np.asarray(np.array([image.read_dir, image.phase_dir, image.slice_dir]).T * size)


def _stack_affine(stack: Sequence[ismrmrd.Image]) -> NDArray[np.float64]:
    affine = slice_affine(stack[0])
    if len(stack) > 1:
        affine[:3, 2] = (slice_affine(stack[-1])[:3, 3] - affine[:3, 3]) / (len(stack) - 1)
    return affine


def _grid(image: ismrmrd.Image) -> NDArray[np.float64]:
    return np.array([*image.matrix_size, *image.field_of_view, *image.read_dir, *image.phase_dir])
