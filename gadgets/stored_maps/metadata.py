"""The metadata and the header of a map's image, with the keys of FIRE and of Gadgetron."""

from typing import Any

import ismrmrd
import numpy as np
from ismrmrd.image import ImageHeader, get_data_type_from_dtype
from numpy.typing import NDArray

from spokestream import __version__
from spokestream.gadgets.messages import Geometry
from spokestream.simulator.physics.quantities import Quantity

__all__ = ["image_header", "map_metadata"]


def map_metadata(
    quantity: Quantity, geometry: Geometry, dtype: np.dtype[Any], provenance: dict[str, str], counts: dict[str, int]
) -> ismrmrd.Meta:
    """The metadata for FIRE, Gadgetron and the clients of this software. They do not depend on the time of day.

    `spokestream_valid` says where the map has a meaning; it is 0 elsewhere. `counts` are written as
    `spokestream_count_<kind>`, provenance as `spokestream_<key>`.
    """
    integer = dtype.kind in "iu"
    slope = quantity.slope if integer and quantity.slope is not None else 1.0
    offset = quantity.offset if integer else 0.0
    comment = f"{quantity.title} [{quantity.unit}] = {slope:g} * stored + {offset:g}"
    meta: dict[str, str | list[str]] = {
        "DataRole": "Quantitative",
        "ImageProcessingHistory": ["MRF", "SPOKESTREAM"],
        "ImageComments": comment,
        "SequenceDescriptionAdditional": f"mrf_{quantity.name}",
        "Keep_image_geometry": "1",
        "ImageRowDir": [f"{x:.18f}" for x in geometry.read_dir],
        "ImageColumnDir": [f"{x:.18f}" for x in geometry.phase_dir],
        "RescaleSlope": repr(float(slope)),
        "RescaleIntercept": repr(float(offset)),
        "GADGETRON_DataRole": quantity.role,
        "GADGETRON_ImageComment": comment,
        "GADGETRON_ScaleRatio": repr(1 / slope),
        "GADGETRON_ScaleOffset": repr(-offset / slope + 0.0),  # + 0.0 changes -0.0 to 0.0
    }
    if integer and quantity.high is not None:  # windows are whole numbers, which cannot describe a float 0..1
        first, last = round((quantity.low - offset) / slope), round((quantity.high - offset) / slope)
        meta["WindowCenter"] = meta["GADGETRON_WindowCenter"] = str((first + last) // 2)
        meta["WindowWidth"] = meta["GADGETRON_WindowWidth"] = str(last - first)
    if quantity.lut:
        meta["LUTFileName"] = quantity.lut
    meta |= {f"spokestream_{key}": _xml_text(value) for key, value in provenance.items()}
    meta |= {f"spokestream_count_{key}": str(n) for key, n in counts.items()}
    meta |= {
        "spokestream_map": quantity.name,
        "spokestream_unit": quantity.unit,
        "spokestream_valid": quantity.validity,
        "spokestream_version": __version__,
    }
    return ismrmrd.Meta(meta)


def _xml_text(value: object) -> str:
    # provenance may contain text from a client, and XML cannot represent most control characters
    return "".join(c if c.isprintable() else " " for c in str(value)) or " "


def image_header(quantity: Quantity, geometry: Geometry, slice_index: int, stored: NDArray[np.generic]) -> ImageHeader:
    """The ISMRMRD header of a map's image (y, x), with the position of the slice in the patient."""
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
    header.image_series_index = quantity.series
    return header
