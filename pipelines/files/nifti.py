"""Map images as NIfTI volumes, oriented in the patient."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ismrmrd
import nibabel
import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["slice_affine", "split_into_volumes", "write_nifti"]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_nifti(directory: Path, images: Sequence[ismrmrd.Image]) -> list[Path]:
    """Write the slices of one map as `<name>.nii.gz`, in its unit; returns the paths of the files.

    Slices that do not form one evenly spaced, parallel stack are written as volumes `<name>-1`, `<name>-2`, ... of one
    slice each.
    """
    volumes = split_into_volumes(images)
    paths = []
    for i, volume in enumerate(volumes):
        name, unit, _ = stored_to_physical(volume[0])
        data = np.stack([stored_to_physical(image)[2].T for image in volume], axis=-1)  # (x, y, z)
        nifti: Any = nibabel.Nifti1Image(data, _stack_affine(volume))  # type: ignore[no-untyped-call]
        nifti.header.set_xyzt_units("mm")
        quantity = QUANTITIES.get(name)
        if quantity is not None:
            nifti.header["descrip"] = f"{quantity.title} [{unit}]"
            nifti.header["cal_min"] = quantity.low
            nifti.header["cal_max"] = np.max(data) if quantity.high is None else quantity.high
        path = directory / (f"{name}.nii.gz" if len(volumes) == 1 else f"{name}-{i + 1}.nii.gz")
        nibabel.save(nifti, path)
        paths.append(path)
    return paths


def split_into_volumes(images: Sequence[ismrmrd.Image]) -> list[list[ismrmrd.Image]]:
    """All slices in one stack along the slice direction if they form a stack, otherwise every slice by itself."""
    normal = np.array(images[0].slice_dir)
    stack = sorted(images, key=lambda image: float(normal @ np.array(image.position)))
    if len(stack) == 1:
        return [stack]
    steps = np.diff([image.position for image in stack], axis=0)
    even = np.allclose(steps, steps[0], atol=0.05) and normal @ steps[0] > 0.05
    alike = all(np.allclose(_grid(image), _grid(stack[0]), atol=1e-4) for image in stack)
    return [stack] if even and alike else [[image] for image in images]


def slice_affine(image: ismrmrd.Image) -> NDArray[np.float64]:
    """The matrix (4, 4) from voxel indices (x, y, z) of one slice to the voxel's centre in RAS millimetres.

    The origin of the Fourier transform is pixel n // 2, so that the centre of this pixel is at `position`.
    """
    n = np.array(image.matrix_size, float)
    size = np.array(image.field_of_view) / n
    directions = np.array([image.read_dir, image.phase_dir, image.slice_dir]).T
    affine = np.eye(4)
    affine[:3, :3] = directions * size
    affine[:3, 3] = np.array(image.position) - affine[:3, :3] @ (n // 2)
    return np.asarray(LPS_TO_RAS @ affine)


def _stack_affine(stack: Sequence[ismrmrd.Image]) -> NDArray[np.float64]:
    affine = slice_affine(stack[0])
    if len(stack) > 1:
        affine[:3, 2] = (slice_affine(stack[-1])[:3, 3] - affine[:3, 3]) / (len(stack) - 1)
    return affine


def _grid(image: ismrmrd.Image) -> NDArray[np.float64]:
    return np.array([*image.matrix_size, *image.field_of_view, *image.read_dir, *image.phase_dir])
