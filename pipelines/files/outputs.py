"""Output files of a reconstruction: the images themselves, NIfTI volumes, a figure and a report."""

import json
import os
import platform
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
from spokestream.pipelines.files.figures import overview_figure
from spokestream.pipelines.files.nifti import write_nifti
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = [
    "ReconstructionReport",
    "image_counts",
    "image_provenance",
    "map_volumes",
    "write_map_images",
    "write_outputs",
]

PACKAGES = ("numpy", "scipy", "torch", "finufft", "ismrmrd", "h5py")
PREFIX = "spokestream_"
COUNT = PREFIX + "count_"


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
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str | int | None] = field(default_factory=dict)


def write_outputs(
    directory: str | Path, images: Sequence[ismrmrd.Image], header_xml: str, report: ReconstructionReport
) -> ReconstructionReport:
    """Write `maps.h5`, one NIfTI file per map, `overview.png` and `report.json`; returns the completed report.

    Raises FileError for images that are not maps, OSError if the directory cannot be written.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_map_images(directory / "maps.h5", images, header_xml)
    paths = [directory / "maps.h5"]
    for of_one_map in _by_map(images).values():
        paths += write_nifti(directory, of_one_map)
    size = np.array(images[0].field_of_view) / np.array(images[0].matrix_size)
    overview_figure(directory / "overview.png", map_volumes(images), pixel_aspect=float(size[1] / size[0]))
    report.provenance, report.integrity = image_provenance(images), _integrity(images)
    report.versions, report.machine = _versions(), _machine()
    report.files = [path.name for path in (*paths, directory / "overview.png")]
    (directory / "report.json").write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n", "utf-8")
    return report


def write_map_images(path: Path, images: Sequence[ismrmrd.Image], header_xml: str) -> None:
    """Write the images unchanged as ISMRMRD groups `dataset/image_<series>`, with metadata and the scan's header."""
    with ismrmrd.Dataset(path, mode="w") as file:
        file.write_xml_header(header_xml.encode())
        for image in images:
            file.append_image(f"image_{image.image_series_index}", image)


def map_volumes(images: Sequence[ismrmrd.Image]) -> dict[str, NDArray[np.float32]]:
    """The volumes (slices, y, x) by map, in the unit of the map; slices and maps are in the order of their numbers.

    Raises FileError for images that are not maps.
    """
    return {
        name: np.stack([stored_to_physical(image)[2] for image in of_one_map])
        for name, of_one_map in _by_map(images).items()
    }


def _by_map(images: Sequence[ismrmrd.Image]) -> dict[str, list[ismrmrd.Image]]:
    by_name: dict[str, list[ismrmrd.Image]] = {}
    for image in sorted(images, key=lambda image: (image.image_series_index, image.slice)):
        by_name.setdefault(stored_to_physical(image)[0], []).append(image)
    unknown = by_name.keys() - QUANTITIES.keys()
    if unknown:
        raise FileError(f"Maps of unknown kind: {', '.join(sorted(unknown))}.")
    return by_name


def image_provenance(images: Sequence[ismrmrd.Image]) -> dict[str, str]:
    """The provenance that the metadata of all images have in common."""
    own = {"map", "unit"}
    common = set.intersection(*({(k, v) for k, v in image.meta.items() if isinstance(v, str)} for image in images))
    return {
        key.removeprefix(PREFIX): value
        for key, value in sorted(common)
        if key.startswith(PREFIX) and not key.startswith(COUNT) and key.removeprefix(PREFIX) not in own
    }


def image_counts(image: ismrmrd.Image) -> dict[str, int]:
    """The counts of what was wrong with the slice of a map image, and with its values."""
    return {k.removeprefix(COUNT): int(v) for k, v in image.meta.items() if k.startswith(COUNT)}


def _integrity(images: Sequence[ismrmrd.Image]) -> list[dict[str, int | str]]:
    return [
        {"map": str(image.meta["spokestream_map"]), "slice": int(image.slice), **image_counts(image)}
        for image in images
    ]


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
