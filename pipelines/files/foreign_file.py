"""Sentences about what is given as a scan and is none: a folder, raw data of a vendor, a text, an empty file."""

import os
import struct
from pathlib import Path

import h5py

from spokestream.errors import ScanError
from spokestream.pipelines.files.message_scan import holds_messages

__all__ = ["check_readable", "foreign_file"]

HEAD_BYTES = 1024
MOST_NAMED = 5
SIEMENS, GE, PHILIPS, BRUKER = (f"{vendor}_to_ismrmrd" for vendor in ("siemens", "ge", "philips", "bruker"))
PHILIPS_ENDINGS = {".lab", ".raw", ".list", ".data", ".sin"}
BRUKER_NAMES = {"fid", "ser", "rawdata.job0", "2dseq"}
FORMATS = (
    (b"PK\x03\x04", "a ZIP archive; unpack it"),
    (b"\x1f\x8b", "compressed with gzip; unpack it"),
    (b"BZh", "compressed with bzip2; unpack it"),
    (b"\xfd7zXZ\x00", "compressed with xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"MATLAB 5.0", "a MATLAB file; write the readouts into an ISMRMRD file"),
)
"""First bytes of formats that scans are sometimes packed into, and what to do about them."""


def check_readable(path: Path) -> None:
    """Raises ScanError, with one sentence, unless the path is a file that may be read."""
    if path.is_dir():
        raise ScanError(_folder(path))
    if not path.is_file():
        raise ScanError(f"There is no file {path}.")
    if not os.access(path, os.R_OK):
        raise ScanError(f"The file {path} may not be read.")


def foreign_file(path: Path) -> str:
    """A sentence that says what a readable file is that is not an HDF5 file, and what to do about it."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return f"{path} is empty."
    for first, what in FORMATS:
        if head.startswith(first):
            return f"{path} is {what}."
    if converter := _converter(path, head):
        return f"{path} is not an HDF5 file but raw data of a scanner; convert it with {converter} first."
    if head[128:132] == b"DICM":
        return f"{path} is a DICOM file, which holds images; the reconstruction needs the raw data of the scan."
    if _is_text(head):
        return f"{path} is not an HDF5 file but a text; give the ISMRMRD file of the scan."
    return f"{path} is not an HDF5 file, nor a stream or a recording of ISMRMRD messages."


def _converter(path: Path, head: bytes) -> str | None:
    """The program that makes an ISMRMRD file of a vendor's raw data; None if the file does not look like such data."""
    name, ending = path.name.lower(), path.suffix.lower()
    first, second = struct.unpack("<II", head[:8].ljust(8, b"\xff"))
    multi_raid = first < 10000 and 0 < second <= 64  # VD and VE: the number of measurements in the file
    single = 0 < first < 2**22 and (b"Config" in head or b"Meas" in head)  # VB: the length of the protocols
    if not _is_text(head) and (ending == ".dat" or multi_raid or single):
        return SIEMENS
    if ending == ".7" or name.endswith(".7.gz") or name.startswith("scanarchive"):
        return GE
    if ending in PHILIPS_ENDINGS:
        return PHILIPS
    return BRUKER if name in BRUKER_NAMES else None


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    return not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head)


def _folder(folder: Path) -> str:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and os.access(path, os.R_OK))
    except OSError:
        return f"The folder {folder} may not be read."
    scans = [path.name for path in files if _looks_like_a_scan(path)]
    if scans:
        named = ", ".join(scans[:MOST_NAMED]) + (f" and {len(scans) - MOST_NAMED} more" if scans[MOST_NAMED:] else "")
        return f"{folder} is a folder; give one of the scans in it: {named}."
    if any(path.name.lower() in BRUKER_NAMES for path in files):
        return f"{folder} is a folder of raw data of a scanner; convert it with {BRUKER} first."
    raw = next((path for path in files if path.suffix.lower() == ".dat"), None)
    if raw is not None:
        return f"{folder} is a folder without an ISMRMRD file; convert {raw.name} with {SIEMENS} first."
    return f"{folder} is a folder without an ISMRMRD file; give the file of a scan."


def _looks_like_a_scan(path: Path) -> bool:
    if holds_messages(path):
        return True
    if not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            groups = (item for item in file.values() if isinstance(item, h5py.Group))
            return any({"xml", "data"} <= set(group) for group in groups)
    except (OSError, RuntimeError):
        return False
