"""Parameter maps become images: integers that any scanner shows, with the metadata that makes them quantitative."""

from collections.abc import Iterator
from typing import Any

import ismrmrd
import numpy as np
from ismrmrd.image import ImageHeader, get_data_type_from_dtype
from numpy.typing import NDArray

from spokestream import __version__
from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Float, Geometry, ParameterMaps
from spokestream.gadgets.scan.header import ScanContext, ScanHeader
from spokestream.simulator.physics.quantities import MAP_KINDS, MapKind, fit_to_scan

__all__ = ["MapImages", "map_metadata", "stored_ceiling", "stored_to_physical", "to_stored"]

PIXEL_TYPES = ("uint16", "int16", "float32")


class MapImages(Gadget[ParameterMaps, ismrmrd.Image]):
    """One image a map, in the order of `MAP_KINDS`.

    Args:
        dtype: "uint16" or "int16" for scanners, "float32" for the physical values themselves.

    Raises ValueError for another dtype; ScanError when the scan wants less than 12 or more than 16 bits, or a map
    is of no known kind.

    """

    accepts = (ParameterMaps,)

    def __init__(self, dtype: str = "uint16") -> None:
        if dtype not in PIXEL_TYPES:
            raise ValueError(f"images are {', '.join(PIXEL_TYPES)}, not {dtype[:20]}")
        self.dtype = np.dtype(dtype)

    def start(self, scan: ScanContext) -> None:
        """Read the bits that the scanner stores."""
        self._scan = scan
        self._ceiling = stored_ceiling(scan.header, self.dtype)
        self._fitted: dict[str, MapKind] = {}

    def feed(self, message: ParameterMaps, /) -> Iterator[ismrmrd.Image]:
        """Images of one slice."""
        for name in message.maps:
            if name not in MAP_KINDS:
                raise ScanError(f"A map of unknown kind '{name[:40]}' cannot leave as an image.")
        for name, kind in MAP_KINDS.items():
            if name in message.maps:
                yield self._image(self._fit(kind, message), message)

    def _fit(self, kind: MapKind, message: ParameterMaps) -> MapKind:
        if self.dtype.kind == "f" or kind.slope is not None:
            return kind
        if kind.name not in self._fitted:
            values = message.maps[kind.name][message.foreground]
            self._fitted[kind.name] = fit_to_scan(kind, values[np.isfinite(values)])
        return self._fitted[kind.name]

    def _image(self, kind: MapKind, message: ParameterMaps) -> ismrmrd.Image:
        values = message.maps[kind.name]
        finite = np.isfinite(values)
        values = np.where(finite, values, np.float32(0))
        counts = {**message.integrity, "not_finite": int(np.sum(~finite)), "clipped": 0}
        if self.dtype.kind == "f":
            stored: NDArray[np.generic] = values
        else:
            assert kind.slope is not None
            levels, counts["clipped"] = to_stored(values, kind.slope, kind.offset, self._ceiling)
            stored = levels.astype(self.dtype)
        if counts["not_finite"]:
            self._scan.log.warning(
                "%s of slice %d has %d pixels that are not numbers; they are stored as 0.",
                kind.title, message.slice + 1, counts["not_finite"],
            )  # fmt: skip
        image = ismrmrd.Image(head=_header(kind, message.geometry, message.slice, stored))
        image.data[0, 0] = stored
        provenance = self._scan.provenance
        if message.inversion_efficiency is not None:
            provenance = {**provenance, "inversion_efficiency": f"{message.inversion_efficiency:.3f}"}
        image.meta = map_metadata(kind, message.geometry, self.dtype, provenance, counts)
        return image


def stored_ceiling(header: ScanHeader, dtype: np.dtype[Any]) -> int:
    """Largest stored integer: 4095, unless the header's user parameter `BitsStored` gives more room.

    Raises ScanError unless it is 12 to 16.
    """
    text = header.user.get("BitsStored", "12")
    try:
        bits = round(float(text))
    except (ValueError, OverflowError):
        bits = 0
    if not 12 <= bits <= 16:
        raise ScanError(f"The header asks for images of {text[:20]} bits; maps need 12 to 16.")
    return min(2**bits - 1, np.iinfo(dtype).max) if dtype.kind in "iu" else 0


def to_stored(values: Float, slope: float, offset: float, ceiling: int) -> tuple[NDArray[np.float64], int]:
    """Whole numbers 0..ceiling for finite physical values, and how many did not fit and were clipped."""
    levels = np.rint((values.astype(np.float64) - offset) / slope)
    clipped = np.clip(levels, 0, ceiling)
    return clipped, int(np.sum(clipped != levels))


def stored_to_physical(image: ismrmrd.Image) -> tuple[str, str, Float]:
    """Name, unit and (y, x) physical values of a map, as its metadata tell.

    Raises ValueError when the image is not one of our maps.
    """
    try:
        name, unit = str(image.meta["spokestream_map"]), str(image.meta["spokestream_unit"])
        slope, offset = float(image.meta["RescaleSlope"]), float(image.meta["RescaleIntercept"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("the image is not a map of spokestream: its metadata lack name, unit or slope") from None
    if image.data.shape[:2] != (1, 1) or np.iscomplexobj(image.data):
        raise ValueError(f"the map '{name[:40]}' is not one real slice")
    return name, unit, (image.data[0, 0].astype(np.float64) * slope + offset).astype(np.float32)


def map_metadata(
    kind: MapKind, geometry: Geometry, dtype: np.dtype[Any], provenance: dict[str, str], counts: dict[str, int]
) -> ismrmrd.Meta:
    """What FIRE, Gadgetron and our own clients read; nothing in it depends on the time of day.

    `counts` become `spokestream_count_<what>`, provenance becomes `spokestream_<what>`.
    """
    integer = dtype.kind in "iu"
    slope = kind.slope if integer and kind.slope is not None else 1.0
    offset = kind.offset if integer else 0.0
    comment = f"{kind.title} [{kind.unit}] = {slope:g} * stored + {offset:g}"
    meta: dict[str, str | list[str]] = {
        "DataRole": "Quantitative",
        "ImageProcessingHistory": ["MRF", "SPOKESTREAM"],
        "ImageComments": comment,
        "SequenceDescriptionAdditional": f"mrf_{kind.name}",
        "Keep_image_geometry": "1",
        "ImageRowDir": [f"{x:.18f}" for x in geometry.read_dir],
        "ImageColumnDir": [f"{x:.18f}" for x in geometry.phase_dir],
        "RescaleSlope": repr(float(slope)),
        "RescaleIntercept": repr(float(offset)),
        "GADGETRON_DataRole": kind.gadgetron_role,
        "GADGETRON_ImageComment": comment,
        "GADGETRON_ScaleRatio": repr(1 / slope),
        "GADGETRON_ScaleOffset": repr(-offset / slope + 0.0),  # + 0.0 turns -0.0 into 0.0
    }
    if integer and kind.high is not None:  # windows are whole numbers, which cannot describe a float 0..1
        first, last = round((kind.low - offset) / slope), round((kind.high - offset) / slope)
        meta["WindowCenter"] = meta["GADGETRON_WindowCenter"] = str((first + last) // 2)
        meta["WindowWidth"] = meta["GADGETRON_WindowWidth"] = str(last - first)
    if kind.lut:
        meta["LUTFileName"] = kind.lut
    meta |= {f"spokestream_{key}": _xml_text(value) for key, value in provenance.items()}
    meta |= {f"spokestream_count_{key}": str(n) for key, n in counts.items()}
    meta |= {
        "spokestream_map": kind.name,
        "spokestream_unit": kind.unit,
        "spokestream_version": __version__,
    }
    return ismrmrd.Meta(meta)


def _xml_text(value: object) -> str:
    # provenance may quote what a peer sent, and XML has no way to write most control characters
    return "".join(c if c.isprintable() else " " for c in str(value)) or " "


def _header(kind: MapKind, geometry: Geometry, slice_index: int, stored: NDArray[np.generic]) -> ImageHeader:
    header = ImageHeader()
    header.version = 1
    header.data_type = get_data_type_from_dtype(stored.dtype)
    header.image_type = ismrmrd.IMTYPE_MAGNITUDE
    header.channels = 1
    header.matrix_size = (stored.shape[1], stored.shape[0], 1)
    header.field_of_view = geometry.fov_mm
    header.position = geometry.position_mm
    header.read_dir = geometry.read_dir
    header.phase_dir = geometry.phase_dir
    header.slice_dir = geometry.slice_dir
    header.patient_table_position = geometry.table_position_mm
    header.measurement_uid = geometry.measurement_uid
    header.acquisition_time_stamp = geometry.acquisition_time_stamp
    header.physiology_time_stamp = geometry.physiology_time_stamp
    header.slice = slice_index
    header.image_index = slice_index + 1
    header.image_series_index = kind.series
    return header
