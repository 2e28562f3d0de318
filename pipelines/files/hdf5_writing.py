"""Readouts, waveforms and images into an HDF5 file in ISMRMRD's format, many at a time."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
from ismrmrd.hdf5 import acquisition_dtype, get_hdf5type, image_header_dtype, waveform_dtype
from numpy.typing import NDArray

from spokestream.errors import FileError
from spokestream.whole_files import whole_hdf5

__all__ = ["write_header", "write_images", "write_items"]

BLOCK_ROWS = 256
ACQUISITION, WAVEFORM, IMAGE_HEADER = (np.dtype(d) for d in (acquisition_dtype, waveform_dtype, image_header_dtype))


def write_items(path: Path, header_xml: str, items: Iterable[Any]) -> None:
    """Write a scan, or the images of one, as the group `dataset`; memory does not grow with the number of readouts.

    Args:
        path: the file, which appears when it is complete.
        header_xml: the ISMRMRD header; "" if there is none.
        items: acquisitions, waveforms and images in any order.

    Raises FileError if the file cannot be written, or if images of one series differ in size or pixel type.

    """
    waveforms: list[ismrmrd.Waveform] = []
    images: list[ismrmrd.Image] = []
    block: list[ismrmrd.Acquisition] = []
    with whole_hdf5(path) as file:
        write_header(file, header_xml)
        for item in items:
            if isinstance(item, ismrmrd.Acquisition):
                block.append(item)
            else:
                (images if isinstance(item, ismrmrd.Image) else waveforms).append(item)
            if len(block) == BLOCK_ROWS:
                _append_acquisitions(file, block)
                file.flush()  # a full disk ends the work here
                block.clear()
        if block:
            _append_acquisitions(file, block)
        if waveforms:
            _write_waveforms(file, waveforms)
        write_images(file, images)


def write_header(file: h5py.File, header_xml: str) -> None:
    """Write the header of the scan."""
    file.create_dataset("dataset/xml", data=[header_xml.encode()], dtype=h5py.special_dtype(vlen=bytes))


def write_images(file: h5py.File, images: Sequence[ismrmrd.Image]) -> None:
    """Write images as groups `dataset/image_<series>`, each in the order in which they are given.

    Raises FileError if images of one series differ in size or pixel type.
    """
    by_series: dict[int, list[ismrmrd.Image]] = {}
    for image in images:
        by_series.setdefault(image.image_series_index, []).append(image)
    for series, alike in by_series.items():
        if len({(image.data.shape, image.data.dtype) for image in alike}) > 1:
            raise FileError(f"The images of series {series} differ in size or pixel type and cannot share a file.")
        pixel = get_hdf5type(alike[0].data_type)
        group = file.create_group(f"dataset/image_{series}")
        _create(group, "header", np.array([_bytes_as(image.getHead(), IMAGE_HEADER) for image in alike]))
        texts = np.array([image.attribute_string for image in alike], object)
        _create(group, "attributes", texts, h5py.special_dtype(vlen=str))
        _create(group, "data", np.stack([np.ascontiguousarray(image.data).view(pixel) for image in alike]))


def _append_acquisitions(file: h5py.File, block: Sequence[ismrmrd.Acquisition]) -> None:
    records = np.zeros(len(block), ACQUISITION)
    for record, acquisition in zip(records, block, strict=True):
        record["head"] = _bytes_as(acquisition.getHead(), ACQUISITION["head"])
        record["data"] = np.ascontiguousarray(acquisition.data).view(np.float32).ravel()
        record["traj"] = np.ascontiguousarray(acquisition.traj, np.float32).ravel()
    if "dataset/data" not in file:
        file.create_dataset("dataset/data", (0,), ACQUISITION, maxshape=(None,), chunks=(64,))
    table = file["dataset/data"]
    before = len(table)
    table.resize(before + len(block), axis=0)
    table[before:] = records


def _write_waveforms(file: h5py.File, waveforms: Sequence[ismrmrd.Waveform]) -> None:
    records = np.zeros(len(waveforms), WAVEFORM)
    for record, waveform in zip(records, waveforms, strict=True):
        record["head"] = _bytes_as(waveform.getHead(), WAVEFORM["head"])
        record["data"] = np.ascontiguousarray(waveform.data, np.uint32).ravel()
    _create(file["dataset"], "waveforms", records)


def _create(group: h5py.Group, name: str, values: NDArray[Any], dtype: Any = None) -> None:
    group.create_dataset(name, data=values, dtype=dtype, maxshape=(None, *values.shape[1:]))


def _bytes_as(header: Any, layout: np.dtype[Any]) -> np.void:
    return np.frombuffer(bytes(header), layout)[0]  # type: ignore[no-any-return]
