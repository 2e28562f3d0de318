"""A map as a series of MR images, one file a slice: whole numbers of 16 bits, which every viewer opens and rescales."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream import __version__
from spokestream.gadgets.stored_maps.levels import fit_to_scan, to_stored
from spokestream.pipelines.files.dicom.identity import uid
from spokestream.pipelines.files.image_notes import image_provenance
from spokestream.pipelines.files.nifti import first_pixel_lps
from spokestream.simulator.physics.quantities import Quantity

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["NO_VALUE", "mr_images", "scale_of"]

LOG = logging.getLogger("spokestream")
NO_VALUE = 0
"""Stored number of a voxel in which the map has no meaning; the smallest value of the map is stored as 1."""
LARGEST_LEVEL = 2**16 - 2
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
LONGEST_TEXT = 1024
KINDS = {"T1": "T1 MAP", "T2": "T2 MAP", "PD": "DENSITY MAP", "Phase": "PHASE MAP"}
"""Gadgetron's role -> third value of the image type (PS3.3, C.8.3.1.1.1)."""


def mr_images(
    identity: "Dataset", quantity: Quantity, images: Sequence[ismrmrd.Image], values: NDArray[np.float32], digest: str
) -> "list[Dataset]":
    """The files of one map, in the order of the images.

    Args:
        identity: the attributes that all files of the scan have in common.
        quantity: the quantity of the map.
        images: the images of the map, which give the geometry.
        values: (slices, y, x) in the map's unit, in the order of the images; NaN where the map has no meaning.
        digest: a text that changes whenever anything in the images does.

    """
    slope, offset = scale_of(quantity, images[0], values)
    valid = np.isfinite(values)
    levels, clipped = to_stored(np.where(valid, values, offset), slope, offset, LARGEST_LEVEL)
    if clipped:
        LOG.warning("%d voxels of %s lie outside the 16 bits of DICOM images and were clipped.", clipped, quantity.name)
    stored = np.where(valid, levels + 1, NO_VALUE).astype("<u2")
    series = uid("MR", identity.StudyInstanceUID, quantity.name, digest)
    high = 1024 * slope + offset if quantity.high is None else quantity.high
    files = []
    for z, image in enumerate(images):
        file = _geometry(image)
        file.update(identity)
        _series(file, quantity, series, image_provenance(images))
        _instance(file, z, uid(series, str(z)))
        file.RescaleIntercept, file.RescaleSlope = _decimal(offset - slope), _decimal(slope)
        file.RescaleType = "US" if quantity.unit == "1" else quantity.unit
        file.WindowCenter, file.WindowWidth = _decimal((quantity.low + high) / 2), _decimal(high - quantity.low)
        file.ImageComments = (
            f"{quantity.title} [{quantity.unit}] = {slope:g} * stored + {offset - slope:g}; "
            f"stored {NO_VALUE} is no value (the map is valid where: {quantity.validity})"
        )
        file.PixelPaddingValue = NO_VALUE
        file.Rows, file.Columns = stored.shape[1:]
        file.PixelData = stored[z].tobytes()
        files.append(file)
    return files


def scale_of(quantity: Quantity, image: ismrmrd.Image, values: NDArray[np.float32]) -> tuple[float, float]:
    """Step and offset of stored numbers: those of the image if it holds whole numbers, otherwise the quantity's own.

    A quantity without a step of its own gets one that fits the values, which are NaN where they have no meaning.
    """
    if image.data.dtype.kind in "iu":
        return float(image.meta["RescaleSlope"]), float(image.meta["RescaleIntercept"])
    if quantity.slope is None:
        quantity = fit_to_scan(quantity, values[np.isfinite(values)])
    assert quantity.slope is not None
    return quantity.slope, quantity.offset


def _geometry(image: ismrmrd.Image) -> "Dataset":
    """Position, orientation and size of the voxels of a slice, in LPS millimetres."""
    from pydicom import Dataset

    width, height, thickness = np.array(image.field_of_view) / np.array(image.matrix_size)
    first = first_pixel_lps(image)
    file = Dataset()
    file.ImagePositionPatient = [_decimal(x) for x in first]
    file.ImageOrientationPatient = [_decimal(x) for x in (*image.read_dir, *image.phase_dir)]
    file.PixelSpacing = [_decimal(height), _decimal(width)]
    file.SliceThickness = _decimal(thickness)
    file.SliceLocation = _decimal(float(np.cross(image.read_dir, image.phase_dir) @ first))
    return file


def _series(file: "Dataset", quantity: Quantity, series: str, provenance: dict[str, str]) -> None:
    from highdicom import ContributingEquipment
    from pydicom.sr.codedict import codes

    file.SOPClassUID = MR_IMAGE
    file.Modality = "MR"
    file.SeriesInstanceUID = series
    file.SeriesNumber = quantity.series
    file.SeriesDescription = f"{quantity.title} [{quantity.unit}]"
    file.ImageType = ["DERIVED", "PRIMARY", KINDS.get(quantity.role, "OTHER")]
    file.DerivationDescription = "; ".join(f"{k}: {v}" for k, v in provenance.items())[:LONGEST_TEXT]
    file.ContributingEquipmentSequence = [
        ContributingEquipment(
            "spokestream", codes.DCM.ProcessingEquipment, manufacturer_model_name="spokestream",
            software_versions=__version__,
        )
    ]  # fmt: skip
    file.ScanningSequence, file.SequenceVariant, file.ScanOptions = "RM", "NONE", ""  # RM is research mode
    file.MRAcquisitionType = "2D"
    file.RepetitionTime = file.EchoTime = file.EchoTrainLength = None  # those of the train vary
    file.BurnedInAnnotation = "NO"
    file.LossyImageCompression = "00"
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0


def _instance(file: "Dataset", z: int, instance: str) -> None:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    file.SOPInstanceUID = instance
    file.InstanceNumber = z + 1
    file.AcquisitionNumber = None
    file.file_meta = FileMetaDataset()
    file.file_meta.MediaStorageSOPClassUID = UID(MR_IMAGE)
    file.file_meta.MediaStorageSOPInstanceUID = UID(instance)
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _decimal(value: float) -> str:
    """A decimal of at most 16 characters, as DICOM wants it."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))
