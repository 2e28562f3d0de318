"""Output files of a reconstruction: the images themselves, NIfTI volumes, a figure and a report."""

import io
import json
import logging
import os
import platform
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream import __version__
from spokestream.errors import FileError
from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.pipelines.files.figures import maps_figure
from spokestream.pipelines.files.image_notes import image_provenance, integrity_rows
from spokestream.pipelines.files.nifti import write_nifti
from spokestream.pipelines.files.plane import plane_of
from spokestream.pipelines.files.validity import valid_voxels
from spokestream.simulator.physics.quantities import QUANTITIES, Quantity
from spokestream.whole_files import whole_file, whole_folder

__all__ = [
    "ReconstructionReport",
    "map_volumes",
    "read_map_images",
    "whole_slices",
    "write_map_images",
    "write_nifti_maps",
    "write_outputs",
]

PACKAGES = ("numpy", "scipy", "torch", "finufft", "ismrmrd", "h5py")
LOG = logging.getLogger("spokestream")
FIXED_NAMES = ("maps.h5", "overview.png", "checks.png", "report.json")


@dataclass
class ReconstructionReport:
    """The report of a reconstruction, which is written as `report.json`."""

    source: str
    pipeline: str
    acquisitions: int
    images: int
    total_s: float
    latency_s: float
    """Time from the arrival of the last readout to the last map."""
    peak_memory_mb: float
    parameters: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    """Provenance of the scan: the entries that the metadata of all images have in common."""
    integrity: list[dict[str, int | str]] = field(default_factory=list)
    """Map, slice and counts of irregularities, one row per image."""
    files: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """The warnings of the reconstruction, in order."""
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str | int | None] = field(default_factory=dict)


def write_outputs(
    directory: str | Path,
    images: Sequence[ismrmrd.Image],
    header_xml: str,
    report: ReconstructionReport,
    *,
    bids: bool = False,
) -> ReconstructionReport:
    """Write `maps.h5`, one NIfTI file per map, pictures and `report.json`; returns the completed report.

    All files appear together when they are complete. Those that an earlier reconstruction left in the directory, and
    that this one does not write, are deleted; files of other names stay.

    Args:
        directory: where to write; made if it does not exist.
        images: the images of all maps and slices.
        header_xml: the ISMRMRD header of the scan.
        report: the report, which is completed.
        bids: name NIfTI files as BIDS does, in its units; see `write_nifti`.

    Raises FileError for images that are not maps, or if the directory cannot be written.

    """
    directory = Path(directory)
    volumes = map_volumes(images)
    valid = valid_voxels(volumes)
    with whole_folder(directory) as draft:
        (draft / "maps.h5").write_bytes(_map_images(images, header_xml))
        paths = [draft / "maps.h5", *write_nifti_maps(draft, images, bids=bids)]
        planes = [plane_of(image) for image in next(iter(_by_map(images).values()))]
        for picture, shows_checks in (("overview.png", False), ("checks.png", True)):
            shown = {
                name: volumes[name]
                for name in QUANTITIES
                if name in volumes and QUANTITIES[name].is_check == shows_checks
            }
            if shown:
                maps_figure(draft / picture, shown, {name: valid[name] for name in shown}, planes)
                paths.append(draft / picture)
        report.provenance, report.integrity = image_provenance(images), integrity_rows(images)
        report.pipeline = report.provenance.get("pipeline", report.pipeline)  # which one `auto` was
        report.versions, report.machine = _versions(), _machine()
        report.files = [path.name for path in paths]
        stale = [
            old for old in sorted(directory.iterdir())
            if _is_ours(old.name) and old.name not in (*report.files, "report.json") and old.is_file()
        ]  # fmt: skip
        if stale:
            names = ", ".join(old.name for old in stale)
            sentence = f"Deleted from {directory} what an earlier reconstruction wrote and this one does not: {names}."
            LOG.warning("%s", sentence)
            report.warnings.append(sentence)
        (draft / "report.json").write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n", "utf-8")
        for old in stale:
            old.unlink()
    return report


def _is_ours(name: str) -> bool:
    """Whether a reconstruction may have written a file of this name."""
    return name in FIXED_NAMES or any(_names(quantity).fullmatch(name) for quantity in QUANTITIES.values())


def _names(quantity: Quantity) -> re.Pattern[str]:
    bids = rf"|(chunk-\d+_)?{quantity.bids.name}" if quantity.bids else ""
    return re.compile(rf"({quantity.name}(-\d+)?{bids})\.(nii\.gz|json)")


def write_map_images(path: Path, images: Sequence[ismrmrd.Image], header_xml: str) -> None:
    """Write the images unchanged as ISMRMRD groups `dataset/image_<series>`, with metadata and the scan's header.

    Raises FileError if the file cannot be written.
    """
    with whole_file(path) as draft:
        draft.write_bytes(_map_images(images, header_xml))


def _map_images(images: Sequence[ismrmrd.Image], header_xml: str) -> bytes:
    """The file `maps.h5`. It is made in memory because HDF5 ends the process when the disk is full."""
    buffer = io.BytesIO()
    with ismrmrd.Dataset(buffer, mode="w") as file:
        file.write_xml_header(header_xml.encode())
        for image in images:
            file.append_image(f"image_{image.image_series_index}", image)
    return buffer.getvalue()


def write_nifti_maps(directory: Path, images: Sequence[ismrmrd.Image], *, bids: bool = False) -> list[Path]:
    """Write one NIfTI file with its JSON file for each map; returns their paths. See `write_nifti`.

    Raises FileError for images that are not maps.
    """
    volumes = map_volumes(images)
    valid = valid_voxels(volumes)
    paths = []
    for name, of_one_map in _by_map(images).items():
        values = np.where(valid[name], volumes[name], np.float32(np.nan))
        paths += write_nifti(directory, QUANTITIES[name], of_one_map, values, bids=bids)
    return paths


def read_map_images(path: Path) -> list[ismrmrd.Image]:
    """The images of a file that `write_map_images` wrote, in the order of their series."""
    with ismrmrd.Dataset(path, mode="r") as file:
        groups = sorted(name for name in file.list() if name.startswith("image_"))
        return [file.read_image(name, n) for name in groups for n in range(file.number_of_images(name))]


def map_volumes(images: Sequence[ismrmrd.Image]) -> dict[str, NDArray[np.float32]]:
    """The volumes (slices, y, x) by map, in the unit of the map; slices and maps are in the order of their numbers.

    Raises FileError for images that are not maps.
    """
    return {
        name: np.stack([stored_to_physical(image)[2] for image in of_one_map])
        for name, of_one_map in _by_map(images).items()
    }


def whole_slices(images: Sequence[ismrmrd.Image]) -> list[ismrmrd.Image]:
    """The images of those slices that have all maps."""
    n_maps = Counter(image.slice for image in images)
    complete = max(n_maps.values(), default=0)
    return [image for image in images if n_maps[image.slice] == complete]


def _by_map(images: Sequence[ismrmrd.Image]) -> dict[str, list[ismrmrd.Image]]:
    by_name: dict[str, list[ismrmrd.Image]] = {}
    for image in sorted(images, key=lambda image: (image.image_series_index, image.slice)):
        by_name.setdefault(stored_to_physical(image)[0], []).append(image)
    unknown = by_name.keys() - QUANTITIES.keys()
    if unknown:
        raise FileError(f"Maps of unknown kind: {', '.join(sorted(unknown))}.")
    return by_name


def _versions() -> dict[str, str]:
    found = {"spokestream": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _machine() -> dict[str, str | int | None]:
    return {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()}
