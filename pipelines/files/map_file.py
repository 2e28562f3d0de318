"""Files of map images in ISMRMRD's format: ours, and those that clients of other servers write."""

import io
from collections.abc import Sequence
from pathlib import Path

import h5py
import ismrmrd

from spokestream.errors import FileError
from spokestream.pipelines.files.hdf5_writing import write_header, write_images
from spokestream.pipelines.wire.header_text import header_text
from spokestream.whole_files import whole_file

__all__ = ["holds_images", "map_file_bytes", "read_map_file", "write_map_images"]


def write_map_images(path: Path, images: Sequence[ismrmrd.Image], header_xml: str) -> None:
    """Write the images unchanged as ISMRMRD groups `dataset/image_<series>`, with metadata and the scan's header.

    Raises FileError if the file cannot be written.
    """
    with whole_file(path) as draft:
        draft.write_bytes(map_file_bytes(images, header_xml))


def map_file_bytes(images: Sequence[ismrmrd.Image], header_xml: str) -> bytes:
    """The file that `write_map_images` writes. It is made in memory because HDF5 ends the process on a full disk."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write_header(file, header_xml)
        write_images(file, images)
    return buffer.getvalue()


def holds_images(path: Path) -> bool:
    """Whether the file is an HDF5 file with images in ISMRMRD's format."""
    return path.is_file() and h5py.is_hdf5(path) and bool(_groups_of_images(path))


def read_map_file(path: Path) -> tuple[list[ismrmrd.Image], str]:
    """The images of a file, in the order of their series, and the header of the scan; "" if the file has none.

    The images lie in groups `<run>/image_<series>`. Our run is called `dataset`; Gadgetron's client names it after the
    time of day and writes no header.

    Raises FileError if the file holds no images, or those of several runs, or is damaged.
    """
    groups = _groups_of_images(path)
    runs = sorted({run for run, _ in groups})
    if not runs:
        raise FileError(f"{path} holds no images in ISMRMRD's format.")
    if len(runs) > 1:
        raise FileError(f"{path} holds the images of {len(runs)} runs ({', '.join(runs)}); write each to its own file.")
    try:
        with ismrmrd.Dataset(path, runs[0], mode="r") as file:
            images = [file.read_image(group, n) for _, group in groups for n in range(file.number_of_images(group))]
            xml = header_text(_as_bytes(file.read_xml_header())) if "xml" in file.list() else ""
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise FileError(f"{path} is damaged: {' '.join(str(error).split())[:200]}.") from error
    return images, xml


def _groups_of_images(path: Path) -> list[tuple[str, str]]:
    """Run and name of every group of images, in the order of the series."""
    try:
        with h5py.File(path, "r") as file:
            found = [
                (run, name)
                for run, groups in file.items()
                if isinstance(groups, h5py.Group)
                for name, group in groups.items()
                if name.startswith("image_") and isinstance(group, h5py.Group)
            ]
    except (OSError, RuntimeError) as error:
        raise FileError(f"{path} cannot be read as an HDF5 file.") from error
    return sorted(found, key=lambda place: (place[0], len(place[1]), place[1]))


def _as_bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
