"""The maps of a scan as the page shows them: arrays, how to show them, and where their slices are in the patient."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spokestream.pipelines.files.image_notes import counts_of_scan, image_provenance, integrity_rows
from spokestream.pipelines.files.plane import plane_of
from spokestream.simulator.physics.colour_scales import shown_range
from spokestream.simulator.physics.quantities import QUANTITIES

if TYPE_CHECKING:
    from spokestream.pipelines.files.outputs import ScanMaps

__all__ = ["ShownMap", "ShownScan"]


@dataclass(frozen=True)
class ShownMap:
    """How a map is shown."""

    name: str
    title: str
    unit: str
    low: float
    high: float
    """Ends of the window, in `unit`."""
    logarithmic: bool
    colours: str
    """Name of the colour map, as in `Quantity`."""
    valid: str
    """The voxels in which the map has a meaning, in words."""
    standard_deviation: str | None
    """Name of the map of its standard deviation, if the scan has one."""
    is_check: bool
    codes: dict[int, str] | None = None
    """What each value stands for, if values are codes."""


@dataclass(frozen=True)
class ShownScan:
    """The maps of a scan."""

    volumes: dict[str, NDArray[np.float32]]
    """Name -> (slices, y, x) in the map's unit, in the order of `QUANTITIES`; NaN where the map has no meaning."""
    maps: list[ShownMap]
    slices: list[dict[str, Any]]
    """The number, from 0, and the fields of the `Plane` of every slice."""
    pixel_mm: tuple[float, float]
    """Width and height of a pixel."""
    integrity: list[dict[str, int | str]]
    """Map, slice and counts of irregularities, one row for each image."""
    counts: dict[str, int]
    """Counts of the whole scan."""
    provenance: dict[str, str]

    @classmethod
    def from_maps(cls, maps: "ScanMaps") -> "ShownScan":
        """How to show the maps of a scan."""
        images = [image for of_one_map in maps.images.values() for image in of_one_map]
        volumes = {name: maps.volumes[name] for name in QUANTITIES if name in maps.volumes}
        shown = []
        for name, volume in volumes.items():
            quantity = QUANTITIES[name]
            low, high = shown_range(quantity, volume[maps.valid[name]])
            deviation = f"{name}_std"
            shown.append(
                ShownMap(
                    name, quantity.title, quantity.unit, low, high, quantity.logarithmic, quantity.colours,
                    quantity.validity, deviation if deviation in volumes else None, quantity.is_check,
                    dict(quantity.codes) if quantity.codes else None,
                )
            )  # fmt: skip
        width, height = (
            float(mm / n) for mm, n in zip(images[0].field_of_view[:2], images[0].matrix_size[:2], strict=True)
        )
        rows = integrity_rows(images)
        return cls(
            volumes={name: maps.values[name] for name in volumes},
            maps=shown,
            slices=[
                {"slice": int(image.slice), **asdict(plane_of(image))} for image in next(iter(maps.images.values()))
            ],
            pixel_mm=(width, height),
            integrity=rows,
            counts=counts_of_scan(rows),
            provenance=image_provenance(images),
        )

    def as_json(self) -> dict[str, Any]:
        """Everything but the arrays, whose shape (slices, y, x) it says."""
        (shape,) = {volume.shape for volume in self.volumes.values()}
        return {
            "shape": shape,
            "maps": [asdict(shown) for shown in self.maps],
            "slices": self.slices,
            "pixel_mm": self.pixel_mm,
            "integrity": self.integrity,
            "counts": self.counts,
            "provenance": self.provenance,
        }
