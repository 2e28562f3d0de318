"""Conversion of what is in a file: maps to the formats of a site, and scans from one container to the other."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import ismrmrd

from spokestream.errors import FileError, InputError
from spokestream.pipelines.files.bids_dataset import DESCRIPTION, FOLDERS, check_label, write_bids_dataset
from spokestream.pipelines.files.dicom.writing import is_our_dicom, write_dicom
from spokestream.pipelines.files.formats import CONVERSIONS, Formats
from spokestream.pipelines.files.hdf5_writing import write_items
from spokestream.pipelines.files.image_notes import image_provenance, integrity_rows
from spokestream.pipelines.files.ismrmrd_file import Scan
from spokestream.pipelines.files.map_file import holds_images, read_map_file
from spokestream.pipelines.files.message_scan import MessageScan
from spokestream.pipelines.files.message_stream import write_stream
from spokestream.pipelines.files.outputs import ScanMaps, is_our_nifti, scan_maps, write_nifti_maps, write_picture
from spokestream.pipelines.files.piped_scan import PIPE
from spokestream.pipelines.files.report.page import report_page
from spokestream.pipelines.files.scan_source import open_scan
from spokestream.pipelines.files.stale_files import stale_files
from spokestream.whole_files import whole_file, whole_folder

__all__ = ["ConversionOptions", "convert"]

ENDINGS = {
    ".png": "png", ".html": "html", ".json": "report", ".h5": "ismrmrd", ".hdf5": "ismrmrd", ".mrd": "stream",
    ".stream": "stream",
}  # fmt: skip


@dataclass(frozen=True)
class ConversionOptions:
    """What some formats need to know besides the maps."""

    dicom_from: Path | None = None
    """A DICOM file, or a folder of them, whose patient, study, frame of reference and equipment DICOM files get."""
    subject: str = "01"
    """Label of the subject in a BIDS dataset."""


@dataclass(frozen=True)
class _Target:
    """The place of the result, and what is needed to make it."""

    place: Path
    source: Path
    header_xml: str
    options: ConversionOptions


def convert(source: Path, target: Path, form: str | None = None, options: ConversionOptions | None = None) -> str:
    """Write what is in one file in another format; returns the format.

    Args:
        source: a file of map images, a scan in HDF5, a stream of messages or a recording; `-` is a stream on standard
            input.
        target: a folder for `nifti`, `bids` and `dicom`, a file for the others; `-` is a stream on standard output.
        form: one of CONVERSIONS; by default the one of the target's ending.
        options: what DICOM and BIDS need.

    Raises InputError for an unknown format or subject, and for a missing package; ScanError or FileError if the source
    cannot be read, does not hold maps where maps are needed, or if the target cannot be written.

    """
    options, form = options or ConversionOptions(), form or _form_of(target)
    if form == "dicom":
        Formats(dicom=True, dicom_from=options.dicom_from).check()
    elif options.dicom_from is not None:
        raise InputError("Only DICOM files have a patient; leave --dicom-from out, or write --to dicom.")
    if form == "bids":
        check_label(options.subject)
    if str(source) != PIPE and target.exists() and source.exists() and target.samefile(source):
        raise FileError(f"The result would replace {source}; name another file.")
    xml, items = _contents(source)
    first = next(items, None)
    if first is None:
        raise FileError(f"{source} holds neither readouts nor images.")
    items = chain([first], items)
    if form == "stream":
        if str(target) == PIPE:
            write_stream(sys.stdout.buffer, xml, items)
        else:
            with whole_file(target) as draft, draft.open("wb") as file:
                write_stream(file, xml, items)
    elif form == "ismrmrd":
        write_items(target, xml, items)
    else:
        images = [item for item in items if isinstance(item, ismrmrd.Image)]
        if not images:
            raise FileError(f"{source} holds a scan and no maps; reconstruct it first with `spokestream replay`.")
        WRITERS[form](scan_maps(images), _Target(target, source, xml, options))
    return form


def _form_of(target: Path) -> str:
    if str(target) == PIPE:
        return "stream"
    if target.suffix.lower() not in ENDINGS:
        raise InputError(
            f"The format of {target} is not known by its name; give --to with one of {', '.join(CONVERSIONS)}."
        )
    return ENDINGS[target.suffix.lower()]


def _contents(source: Path) -> tuple[str, Iterator[Any]]:
    """The header, and all acquisitions, waveforms and images."""
    if str(source) != PIPE and holds_images(source):
        images, xml = read_map_file(source)
        return xml, iter(images)
    scan = open_scan(source)
    if isinstance(scan, MessageScan):
        return scan.xml, scan.items()
    assert isinstance(scan, Scan)
    return scan.xml, chain(_waveforms(scan), scan)


def _waveforms(scan: Scan) -> Iterator[ismrmrd.Waveform]:
    with h5py.File(scan.path, "r") as file:
        if "waveforms" not in file[scan.group]:
            return
    with ismrmrd.Dataset(scan.path, scan.group, mode="r") as dataset:
        for i in range(dataset.number_of_waveforms()):
            yield dataset.read_waveform(i)


def _nifti(maps: ScanMaps, target: _Target) -> None:
    _write_folder(target.place, lambda folder: write_nifti_maps(folder, maps), is_our_nifti)


def _dicom(maps: ScanMaps, target: _Target) -> None:
    source = Formats(dicom=True, dicom_from=target.options.dicom_from).dicom_source
    _write_folder(
        target.place,
        lambda folder: write_dicom(folder, maps.images, maps.values, target.header_xml, source),
        is_our_dicom,
    )


def _bids(maps: ScanMaps, target: _Target) -> None:
    ours = re.compile(rf"sub-{target.options.subject}_(.+)")

    def is_ours(name: str) -> bool:
        match = ours.fullmatch(name.rpartition("/")[2])
        return match is not None and is_our_nifti(match[1])

    def write(folder: Path) -> list[Path]:
        paths = write_bids_dataset(folder, maps, target.options.subject)
        if (target.place / DESCRIPTION).exists():  # the site's own, perhaps
            (folder / DESCRIPTION).unlink()
        return paths

    _write_folder(target.place, write, is_ours, f"sub-{target.options.subject}", FOLDERS)


def _write_folder(
    place: Path,
    write: Callable[[Path], list[Path]],
    is_ours: Callable[[str], bool],
    within: str = ".",
    inner: Sequence[str] = (),
) -> None:
    """Write files into a folder; files of an earlier run are deleted, in a dataset those of the same subject."""
    with whole_folder(place) as draft:
        written = [
            path.relative_to(draft / within).as_posix() for path in write(draft) if path.is_relative_to(draft / within)
        ]
        stale = stale_files(place / within, written, is_ours, inner) if (place / within).is_dir() else []
        for old in stale:
            old.unlink()


def _png(maps: ScanMaps, target: _Target) -> None:
    with whole_folder(target.place.absolute().parent) as draft:
        if not write_picture(draft / target.place.name, maps, checks=False):
            raise FileError(f"{target.source} holds checks alone, and no maps to show.")


def _html(maps: ScanMaps, target: _Target) -> None:
    with whole_file(target.place) as draft:
        draft.write_text(report_page(maps, _facts(maps, target)), "utf-8")


def _report(maps: ScanMaps, target: _Target) -> None:
    with whole_file(target.place) as draft:
        draft.write_text(json.dumps(_facts(maps, target), indent=2, ensure_ascii=False) + "\n", "utf-8")


def _facts(maps: ScanMaps, target: _Target) -> dict[str, Any]:
    """What the images say of the reconstruction."""
    images = [image for of_one_map in maps.images.values() for image in of_one_map]
    provenance = image_provenance(images)
    return {
        "source": str(target.source), "pipeline": provenance.get("pipeline", "unknown"), "images": len(images),
        "maps": list(maps.images), "provenance": provenance, "integrity": integrity_rows(images),
    }  # fmt: skip


WRITERS: dict[str, Callable[[ScanMaps, _Target], None]] = {
    "nifti": _nifti, "bids": _bids, "dicom": _dicom, "png": _png, "html": _html, "report": _report,
}  # fmt: skip
