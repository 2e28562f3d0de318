"""The history: a folder with the maps of the last scans, one folder a scan, bounded in number and in bytes.

The folder of a scan holds `scan.json`, the images as they were sent in `maps.h5`, and for the page one array
`<map>.npy` (slices, y, x) per map. It appears when it is complete, by one renaming.
"""

import fcntl
import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError, SpokestreamError
from spokestream.pipelines.console.scan_record import ScanRecord
from spokestream.pipelines.files.map_file import write_map_images
from spokestream.pipelines.files.outputs import scan_maps, whole_slices
from spokestream.pipelines.map_panels.shown_scan import ShownScan
from spokestream.whole_files import check_writable, writing

__all__ = ["History"]

LOG = logging.getLogger("spokestream.history")
FORMAT = 1
"""Version of `scan.json`."""
WITHOUT_MAPS = 4
"""Scans without maps, such as those that were refused, are at most one in so many of the history."""
ID = re.compile(r"\d{8}T\d{6}\.\d{3}Z_[0-9a-f]+")
DRAFT = ".unfinished-"


class History:
    """The scans of a folder. Its methods read and write files: the event loop calls them in a thread.

    One thread at a time may add; any may read. The folder is made if it does not exist.

    Args:
        folder: the folder, which holds nothing else.
        most_scans: number of scans that are kept.
        most_bytes: size of all scans that are kept, in bytes.

    Raises FileError if the folder cannot be written, or if another node uses it.

    """

    def __init__(self, folder: Path, most_scans: int, most_bytes: int) -> None:
        check_writable(folder)
        self.folder = folder
        self._most_scans, self._most_bytes = most_scans, most_bytes
        self.revision = 0
        """Number of scans that were added; whoever has seen this revision has seen them all."""
        self._lock = _lock(folder / ".lock")
        self._kept: dict[str, tuple[ScanRecord, int]] = {}
        """Record and bytes of every scan, oldest first; replaced as a whole, so that other threads can read it."""
        for old in folder.glob(f"{DRAFT}*"):
            shutil.rmtree(old, ignore_errors=True)
        for path in sorted(folder.iterdir()):
            if ID.fullmatch(path.name) and (record := _read_record(path)):
                self._kept[record.id] = record, _bytes(path)
        self._delete_oldest()

    @property
    def records(self) -> list[ScanRecord]:
        """The records of all scans, newest first."""
        return [record for record, _ in reversed(self._kept.values())]

    def add(self, record: ScanRecord, images: Sequence[ismrmrd.Image], header_xml: str) -> None:
        """Keep a scan that has ended, and delete the oldest ones beyond the limits.

        Incomplete slices are left out. Maps that cannot be shown are left out, and the record says so in a warning.

        Raises FileError if the folder cannot be written.
        """
        record = replace(record, warnings=list(record.warnings))
        draft = self.folder / f"{DRAFT}{record.id}"
        with writing(self.folder):
            draft.mkdir()
            try:
                about = self._write_maps(draft, record, whole_slices(images), header_xml)
                text = json.dumps({"format": FORMAT, **record.as_json(), "shown": about}, ensure_ascii=False)
                (draft / "scan.json").write_text(text, "utf-8")
                draft.rename(self.folder / record.id)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        self._kept = dict(sorted({**self._kept, record.id: (record, _bytes(self.folder / record.id))}.items()))
        self._delete_oldest()
        self.revision += 1

    def _write_maps(
        self, draft: Path, record: ScanRecord, images: Sequence[ismrmrd.Image], header_xml: str
    ) -> dict[str, Any] | None:
        """Write the maps of a scan; returns how they are shown, or None if there are none."""
        if not images:
            return None
        try:
            shown = ShownScan.from_maps(scan_maps(images))
            about = shown.as_json()
        except (SpokestreamError, ValueError) as error:
            record.warn(f"The maps are not in the history: {str(error).rstrip('.')}.")
            return None
        write_map_images(draft / "maps.h5", images, header_xml)
        for name, volume in shown.volumes.items():
            np.save(draft / f"{name}.npy", volume)
        record.maps = list(shown.volumes)
        record.pipeline = shown.provenance.get("pipeline", record.pipeline)  # which one `auto` was
        return about

    def details(self, scan: str) -> bytes:
        """The content of `scan.json`: the record, and under `shown` what `ShownScan.as_json` gives, or null.

        Raises KeyError for a scan that is not kept.
        """
        return self._file(scan, "scan.json").read_bytes()

    def slice_of(self, scan: str, name: str, index: int) -> NDArray[np.float32]:
        """One slice (y, x) of a map in its unit, with NaN where it has no meaning.

        Args:
            scan: the identity of the scan.
            name: name of the map.
            index: index of the slice in the array of the map.

        Raises KeyError for a scan, map or slice that is not kept.

        """
        if name not in self._kept[scan][0].maps:
            raise KeyError(name)
        volume = np.load(self._file(scan, f"{name}.npy"), mmap_mode="r")
        if not 0 <= index < len(volume):
            raise KeyError(index)
        return np.array(volume[index], np.float32)

    def map_images(self, scan: str) -> Path:
        """The path of `maps.h5`. Raises KeyError for a scan without maps."""
        if not self._kept[scan][0].maps:
            raise KeyError(scan)
        return self._file(scan, "maps.h5")

    def close(self) -> None:
        """Let another node use the folder."""
        os.close(self._lock)

    def _file(self, scan: str, name: str) -> Path:
        if scan not in self._kept:
            raise KeyError(scan)
        return self.folder / scan / name

    def _delete_oldest(self) -> None:
        kept = dict(self._kept)
        without_maps = [scan for scan, (record, _) in kept.items() if not record.maps]
        room = min(max(1, self._most_scans // WITHOUT_MAPS), self._most_scans - 1)
        room = room if len(without_maps) < len(kept) else self._most_scans
        # a client that is refused again and again must not push out the maps of others
        for scan in without_maps[: max(0, len(without_maps) - room)]:
            del kept[scan]
            shutil.rmtree(self.folder / scan, ignore_errors=True)
        while kept and (len(kept) > self._most_scans or sum(n for _, n in kept.values()) > self._most_bytes):
            oldest = next(iter(kept))
            _, n_bytes = kept.pop(oldest)
            if not kept and n_bytes > self._most_bytes:
                LOG.warning("The scan %s is larger than history_bytes and is not kept.", oldest)
            shutil.rmtree(self.folder / oldest, ignore_errors=True)
        self._kept = kept


def _lock(path: Path) -> int:
    """An open file that no other node has. Raises FileError if one has it."""
    with writing(path):
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        raise FileError(f"Another node keeps its history in {path.parent}; name another folder.") from None
    return number


def _read_record(folder: Path) -> ScanRecord | None:
    try:
        values = json.loads((folder / "scan.json").read_text("utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("it was written by another version")
        values.pop("shown")
        record = ScanRecord(**values)
        if record.id != folder.name:
            raise ValueError("its name was changed")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        LOG.warning("The scan %s of the history cannot be read and is not shown: %s.", folder, error)
        return None
    return record


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
