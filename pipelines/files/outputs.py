"""Output files of a reconstruction: the images themselves, NIfTI volumes, figures, reports, and DICOM."""

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
from spokestream.gadgets.stored_maps.provisional import is_provisional
from spokestream.pipelines.files.dicom.writing import is_our_dicom, write_dicom
from spokestream.pipelines.files.figures import maps_figure
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.image_notes import image_provenance, integrity_rows
from spokestream.pipelines.files.map_file import map_file_bytes
from spokestream.pipelines.files.nifti import write_nifti
from spokestream.pipelines.files.plane import plane_of
from spokestream.pipelines.files.report.page import report_page
from spokestream.pipelines.files.stale_files import stale_files
from spokestream.pipelines.files.validity import valid_voxels
from spokestream.pipelines.files.warnings_to import warnings_to
from spokestream.simulator.physics.quantities import QUANTITIES, Quantity
from spokestream.whole_files import whole_folder

__all__ = [
    "ReconstructionReport", "ScanMaps", "is_our_nifti", "map_volumes", "scan_maps", "whole_slices", "write_nifti_maps",
    "write_outputs", "write_picture",
]  # fmt: skip

PACKAGES = ("numpy", "scipy", "torch", "finufft", "ismrmrd", "h5py")
LOG = logging.getLogger("spokestream")
PICTURES = (("overview.png", False), ("checks.png", True))
"""Name of a picture, and whether it shows the maps that say how far others can be trusted."""
PAGE = "report.html"
FIXED_NAMES = ("maps.h5", PAGE, "report.json", *(name for name, _ in PICTURES))
DICOM = "dicom"
"""The folder of DICOM files in the folder of the results."""


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


@dataclass(frozen=True, eq=False)
class ScanMaps:
    """The maps of a scan by name: images and values (slices, y, x), slices in the order of their numbers."""

    images: dict[str, list[ismrmrd.Image]]
    volumes: dict[str, NDArray[np.float32]]
    """Values in the unit of the map; 0 where the map has no meaning."""
    valid: dict[str, NDArray[np.bool_]]
    """The voxels in which the map has a meaning."""

    @property
    def values(self) -> dict[str, NDArray[np.float32]]:
        """The values, NaN where a map has no meaning."""
        return {name: np.where(self.valid[name], self.volumes[name], np.float32(np.nan)) for name in self.volumes}


def scan_maps(images: Sequence[ismrmrd.Image]) -> ScanMaps:
    """The final maps in the images of a scan.

    Raises FileError for images that are not maps, if some lack slices, or if there are provisional maps only.
    """
    volumes = map_volumes(images)
    if len({volume.shape for volume in volumes.values()}) > 1:
        slices = ", ".join(f"{name} {len(volume)}" for name, volume in volumes.items())
        raise FileError(f"The maps are incomplete: they differ in their numbers of slices ({slices}) or pixels.")
    return ScanMaps(_by_map(images), volumes, valid_voxels(volumes))


def write_outputs(
    directory: str | Path,
    images: Sequence[ismrmrd.Image],
    header_xml: str,
    report: ReconstructionReport,
    formats: Formats | None = None,
) -> ReconstructionReport:
    """Write `maps.h5`, one NIfTI file per map, pictures, `report.html` and `report.json`; returns the full report.

    All files appear together when they are complete. Those that an earlier reconstruction left in the directory, and
    that this one does not write, are deleted; files of other names stay.

    Args:
        directory: where to write; made if it does not exist.
        images: the images of all maps and slices.
        header_xml: the ISMRMRD header of the scan.
        report: the report, which is completed.
        formats: which other formats are wanted; by default none.

    Raises FileError for images that are not maps, or if the directory cannot be written, and InputError if a package
    for DICOM is missing.

    """
    directory, formats = Path(directory), formats or Formats()
    maps = scan_maps(images)
    with whole_folder(directory) as draft, warnings_to(report.warnings.append):
        (draft / "maps.h5").write_bytes(map_file_bytes(images, header_xml))
        paths = [draft / "maps.h5"]
        paths += write_nifti_maps(draft, maps, bids=formats.bids)
        paths += [draft / name for name, checks in PICTURES if write_picture(draft / name, maps, checks=checks)]
        if formats.dicom:
            (draft / DICOM).mkdir()
            paths += write_dicom(draft / DICOM, maps.images, maps.values, header_xml, formats.dicom_source)
        report.provenance, report.integrity = image_provenance(images), integrity_rows(images)
        report.pipeline = report.provenance.get("pipeline", report.pipeline)  # which one `auto` was
        report.versions, report.machine = _versions(), _machine()
        report.files = [*(path.relative_to(draft).as_posix() for path in paths), PAGE]
        stale = stale_files(directory, [*report.files, "report.json"], _is_ours, [DICOM])
        (draft / PAGE).write_text(report_page(maps, asdict(report)), "utf-8")
        (draft / "report.json").write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n", "utf-8")
        for old in stale:
            old.unlink()
    return report


def write_nifti_maps(directory: Path, maps: ScanMaps, *, bids: bool = False) -> list[Path]:
    """Write one NIfTI file with its JSON file for each map; returns their paths. See `write_nifti`."""
    paths = []
    for name, values in maps.values.items():
        paths += write_nifti(directory, QUANTITIES[name], maps.images[name], values, bids=bids)
    return paths


def write_picture(path: Path, maps: ScanMaps, *, checks: bool) -> bool:
    """Write a figure of the maps, or of those that say how far others can be trusted; returns whether there are any."""
    shown = {
        name: maps.volumes[name] for name in QUANTITIES if name in maps.volumes and QUANTITIES[name].is_check == checks
    }
    if shown:
        planes = [plane_of(image) for image in next(iter(maps.images.values()))]
        maps_figure(path, shown, {name: maps.valid[name] for name in shown}, planes)
    return bool(shown)


def _is_ours(name: str) -> bool:
    """Whether a reconstruction may have written a file of this name, relative to the folder of the results."""
    folder, _, file = name.rpartition("/")
    return is_our_dicom(file) if folder == DICOM else not folder and (file in FIXED_NAMES or is_our_nifti(file))


def is_our_nifti(name: str) -> bool:
    """Whether `write_nifti` may have written a file of this name."""
    return any(_names(quantity).fullmatch(name) for quantity in QUANTITIES.values())


def _names(quantity: Quantity) -> re.Pattern[str]:
    bids = rf"|(chunk-\d+_)?{quantity.bids.name}" if quantity.bids else ""
    return re.compile(rf"({quantity.name}(-\d+)?{bids})\.(nii\.gz|json)")


def map_volumes(images: Sequence[ismrmrd.Image]) -> dict[str, NDArray[np.float32]]:
    """The volumes (slices, y, x) by map, in the unit of the map; slices and maps are in the order of their numbers.

    Images of provisional maps are left out. Raises FileError for images that are not maps, or if all are provisional.
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
    final = [image for image in images if not is_provisional(image)]
    if images and not final:
        raise FileError("The maps are provisional: those of complete slices did not come.")
    for image in sorted(final, key=lambda image: (image.image_series_index, image.slice)):
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
