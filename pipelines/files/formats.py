"""The formats in which a site wants its maps, besides those that are always written."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.pipelines.files.dicom.identity import check_installed, read_source

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["CONVERSIONS", "Formats"]

CONVERSIONS = ("nifti", "bids", "dicom", "png", "html", "report", "ismrmrd", "stream")
"""The formats into which files are converted."""


@dataclass(frozen=True)
class Formats:
    """What is written beside `maps.h5`, pictures and report."""

    bids: bool = False
    """Name NIfTI files as BIDS does, in its units."""
    dicom: bool = False
    """Write a folder `dicom`, too."""
    dicom_from: Path | None = None
    """A DICOM file, or a folder of them, whose patient, study, frame of reference and equipment the DICOM files get."""

    @cached_property
    def dicom_source(self) -> "Dataset | None":
        """An image of `dicom_from`; None for an anonymous patient."""
        return None if self.dicom_from is None else read_source(self.dicom_from)

    def check(self) -> None:
        """Raises InputError if a package is missing, and FileError if `dicom_from` cannot be used."""
        if self.dicom:
            check_installed()
            _ = self.dicom_source
