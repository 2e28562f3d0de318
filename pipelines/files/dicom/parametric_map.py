"""A map as a DICOM parametric map: the values themselves as floating-point numbers, with their unit, in one file."""

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.pipelines.files.dicom.identity import uid
from spokestream.pipelines.files.nifti import first_pixel_lps
from spokestream.simulator.physics.quantities import Quantity

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code

__all__ = ["parametric_map"]

SERIES_OFFSET = 1000
"""Added to the series number of the MR images of the same map."""
UCUM = {
    "1": ("1", "no units"), "ms": ("ms", "millisecond"), "Hz": ("Hz", "hertz"), "rad": ("rad", "radian"),
    "a.u.": ("[arb'U]", "arbitrary unit"),
}  # fmt: skip
"""Our unit -> code and meaning in the Unified Code for Units of Measure."""
DCM = {
    "T1": ("113063", "T1"), "T2": ("113065", "T2"), "PD": ("113058", "Proton Density"),
    "FATFRACTION": ("129100", "Fat fraction"),
}  # fmt: skip
"""Gadgetron's role -> code and meaning of the quantity (PS3.16, annex D); other quantities have no code there."""
NO_DATE, NO_TIME = "19000101", "000000"
"""Date and time where the study has none: they may not be empty, and the files may not depend on the clock."""


def parametric_map(
    slices: "Sequence[Dataset]",
    quantity: Quantity,
    images: Sequence[ismrmrd.Image],
    values: NDArray[np.float32],
    digest: str,
    number: int,
) -> "Dataset":
    """One volume of a map.

    Args:
        slices: the MR images of the volume, which give patient, study, and frame of reference.
        quantity: the quantity of the map.
        images: the images of the volume, in the order of their position; they give the geometry.
        values: (slices, y, x) in the map's unit; NaN, which is stored as it is, where the map has no meaning.
        digest: a text that changes whenever anything in the images does.
        number: number of the volume in the series, from 1.

    """
    from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence
    from highdicom import VOILUTTransformation as Window
    from highdicom.pm import RealWorldValueMapping

    first = slices[0]
    width, height, thickness = (float(x) for x in np.array(images[0].field_of_view) / np.array(images[0].matrix_size))
    positions = [first_pixel_lps(image) for image in images]
    gap = float(np.linalg.norm(positions[1] - positions[0])) if len(images) > 1 else None
    high = float(np.nanmax(values, initial=quantity.low + 1)) if quantity.high is None else quantity.high
    code, meaning = UCUM[quantity.unit]
    mapping = RealWorldValueMapping(
        lut_label=quantity.name, lut_explanation=quantity.title, unit=_code(code, "UCUM", meaning),
        value_range=(float(np.nanmin(values, initial=0)), float(np.nanmax(values, initial=0))), slope=1.0,
        intercept=0.0, quantity_definition=_quantity_code(quantity),
    )  # fmt: skip
    series = uid("parametric map", first.StudyInstanceUID, quantity.name, digest)
    file = _made(
        source_images=slices,
        pixel_array=values,
        series_instance_uid=series,
        series_number=(quantity.series or 0) + SERIES_OFFSET,
        sop_instance_uid=uid(series, str(number)),
        instance_number=number,
        manufacturer=str(first.Manufacturer),
        manufacturer_model_name=str(first.ManufacturerModelName),
        software_versions=first.SoftwareVersions,
        device_serial_number=str(first.DeviceSerialNumber),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        content_description=f"{quantity.title} [{code}]; NaN is no value",
        content_label=re.sub("[^A-Z0-9]", "_", quantity.name.upper())[:16],
        pixel_measures=PixelMeasuresSequence((height, width), thickness, gap),
        plane_orientation=PlaneOrientationSequence("PATIENT", [*images[0].read_dir, *images[0].phase_dir]),
        plane_positions=[PlanePositionSequence("PATIENT", tuple(p)) for p in positions],
        voi_lut_transformations=[Window((quantity.low + high) / 2, high - quantity.low)],
        series_description=f"{quantity.title} [{quantity.unit}], parametric map",
        content_date=str(first.StudyDate) or NO_DATE,
        content_time=str(first.StudyTime) or NO_TIME,
    )  # fmt: skip
    file.ImageComments = (
        f"{quantity.title} [{quantity.unit}]; NaN is no value (the map is valid where: {quantity.validity})"
    )
    file.DerivationDescription = first.DerivationDescription
    file.FloatPixelPaddingValue = float("nan")
    return file


def _made(**attributes: Any) -> "Dataset":
    """A parametric map by highdicom, without what depends on the clock or on chance."""
    from highdicom.pm import ParametricMap

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The string .* is unlikely to represent", UserWarning)  # a patient's name
        file = ParametricMap(**attributes)
    del file.InstanceCreationDate, file.InstanceCreationTime
    file.ContributingEquipmentSequence = attributes["source_images"][0].ContributingEquipmentSequence
    file.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy()]
    dimensions = uid(file.SOPInstanceUID, "dimensions")
    for item in (*file.DimensionOrganizationSequence, *file.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    for frame in file.PerFrameFunctionalGroupsSequence:  # the map was not derived from the rounded images
        del frame.DerivationImageSequence
    for name in ("ReferencedSeriesSequence", "SourceImageSequence"):
        if name in file:
            delattr(file, name)
    return file


def _anatomy() -> "Dataset":
    """The part of the body in a frame, which may not be left out; nothing says which part it is."""
    from highdicom.sr import CodedConcept
    from pydicom import Dataset
    from pydicom.sr.codedict import codes

    anatomy = Dataset()
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [CodedConcept.from_code(codes.SCT.EntireBody)]
    return anatomy


def _quantity_code(quantity: Quantity) -> "Code | None":
    if quantity.is_check or quantity.role not in DCM:
        return None
    code, meaning = DCM[quantity.role]
    return _code(code, "DCM", meaning)


def _code(value: str, scheme: str, meaning: str) -> "Code":
    from pydicom.sr.coding import Code

    return Code(value, scheme, meaning)
