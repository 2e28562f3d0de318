"""Identity of DICOM files: the patient, the study and the equipment, and unique identifiers that do not depend on time.

A scan has no patient unless a source series names one. The same scan with the same maps always gets the same
identifiers, so that an archive recognises files that it already has.
"""

import hashlib
import uuid
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import ismrmrd

from spokestream import __version__
from spokestream.errors import FileError, InputError, ScanError
from spokestream.gadgets.scan.xml_tree import parse_xml

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["check_installed", "identity_of", "read_source", "uid"]

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "spokestream DICOM")
PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
STUDY = (
    "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber",
    "ReferringPhysicianName",
)  # fmt: skip
PLACE = ("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition", "BodyPartExamined")
EQUIPMENT = (
    "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "StationName", "InstitutionName",
    "InstitutionalDepartmentName", "MagneticFieldStrength",
)  # fmt: skip
MAY_BE_EMPTY = (
    "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
    "PositionReferenceIndicator", "PatientPosition",
)  # fmt: skip
"""Attributes that DICOM wants in the file even if nothing is known."""


def check_installed() -> None:
    """Raises InputError, with one sentence, unless the packages of the extra `dicom` are installed."""
    if find_spec("pydicom") is None or find_spec("highdicom") is None:
        raise InputError("DICOM files need the packages pydicom and highdicom; install spokestream[dicom].")


def uid(*parts: str) -> str:
    """A unique identifier under the root 2.25, the same for the same texts (ISO/IEC 9834-8, UUID of version 5)."""
    return f"2.25.{uuid.uuid5(NAMESPACE, chr(31).join(parts)).int}"


def identity_of(images: Sequence[ismrmrd.Image], header_xml: str, source: "Dataset | None") -> "Dataset":
    """The attributes of patient, study, frame of reference and equipment, which all files of a scan have in common.

    Args:
        images: the images of the scan.
        header_xml: the ISMRMRD header of the scan. Nothing that names the patient is taken from it.
        source: an image of the series from which these attributes are taken; None for an anonymous patient.

    """
    from pydicom import Dataset

    first = min(images, key=lambda image: image.acquisition_time_stamp)
    scan = f"{header_xml}\n{first.measurement_uid}\n{first.acquisition_time_stamp}"
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    for name in MAY_BE_EMPTY:
        setattr(found, name, "")
    if source is not None:
        for name in (*PATIENT, *STUDY, *PLACE, *EQUIPMENT):
            if name in source:
                setattr(found, name, source[name].value)
    else:
        # two scans are two patients for an archive, although their names are equal
        found.PatientID = f"spokestream-{hashlib.sha256(scan.encode()).hexdigest()[:12]}"
        found.PatientName = "Anonymous"
        found.StudyInstanceUID = uid("study", scan)
        found.FrameOfReferenceUID = uid("frame of reference", scan)
        found.PatientPosition = _patient_position(header_xml)
    defaults = {
        "PatientName": "", "PatientID": "", "Manufacturer": "spokestream", "ManufacturerModelName": "spokestream",
        "DeviceSerialNumber": "unknown", "SoftwareVersions": __version__,
    }  # fmt: skip
    for name, value in defaults.items():
        if name not in found:
            setattr(found, name, value)
    return found


def read_source(path: Path) -> "Dataset":
    """The attributes of one image in a DICOM file, or in a folder with the files of one study.

    MR images take precedence. Raises InputError if the packages are missing, and FileError if there is no DICOM image,
    if it has no frame of reference, or if the images of a folder do not agree on study and frame of reference.
    """
    check_installed()
    if not path.exists():
        raise FileError(f"There is no file or folder {path}.")
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    placed = [image for image in filter(None, map(_attributes, files)) if image.get("FrameOfReferenceUID")]
    placed = [image for image in placed if image.get("Modality") == "MR"] or placed
    if not placed:
        raise FileError(
            f"{path} has no DICOM image with a frame of reference; give an MR image of the examination, or its folder."
        )
    for name, what in (("StudyInstanceUID", "studies"), ("FrameOfReferenceUID", "frames of reference")):
        if (n := len({image[name].value for image in placed})) > 1:
            raise FileError(f"{path} has images of {n} {what}; give one file, or the folder of one series.")
    return placed[0]


def _attributes(file: Path) -> "Dataset | None":
    """The attributes of a DICOM image; None for any other file."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        image = dcmread(file, stop_before_pixels=True)
        return image if image.get("StudyInstanceUID") else None
    except (InvalidDicomError, OSError, ValueError, LookupError, NotImplementedError, EOFError):
        return None


def _patient_position(header_xml: str) -> str:
    try:
        root = parse_xml(header_xml, "ISMRMRD header")
    except ScanError:
        return ""
    return (root.findtext("measurementInformation/patientPosition") or "").strip()
