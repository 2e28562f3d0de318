"""The scans that are running: their records, and their images until the history has them."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import ismrmrd

from spokestream.errors import FileError
from spokestream.pipelines.console.history import History
from spokestream.pipelines.console.scan_record import ScanRecord
from spokestream.pipelines.node.events import Event, ImageSent, ScanAdmitted, ScanEnded

__all__ = ["RunningScans"]

LOG = logging.getLogger("spokestream.history")
MOST_IMAGE_BYTES = 512 << 20
"""Images of one scan that are kept in memory until it ends: 2,000 maps of 350 x 350 pixels of 16 bits."""


@dataclass
class _Scan:
    record: ScanRecord
    header_xml: str = ""
    images: list[ismrmrd.Image] = field(default_factory=list)
    n_bytes: int = 0

    def keep(self, image: ismrmrd.Image) -> None:
        """Keep an image. When there are too many, all are given up, because a part of a scan is misleading."""
        already_full = self.n_bytes > MOST_IMAGE_BYTES
        self.n_bytes += image.data.nbytes
        if self.n_bytes <= MOST_IMAGE_BYTES:
            self.images.append(image)
        elif not already_full:
            self.images.clear()
            self.record.warn(f"The maps are not in the history: they are larger than {MOST_IMAGE_BYTES >> 20} MiB.")


class RunningScans:
    """Follows the events of all scans, and gives those that end to the history, in a thread of its own.

    Args:
        history: the history.
        changed: called in the event loop after every event, and when the history has changed.

    """

    def __init__(self, history: History, changed: Callable[[], None]) -> None:
        self.history = history
        self.trouble = ""
        """Why the last scan is not in the history, in one sentence; empty if it is."""
        self._changed = changed
        self._scans: dict[str, _Scan] = {}
        self._thread = ThreadPoolExecutor(1, "history")
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def records(self) -> list[ScanRecord]:
        """The records of the running scans, oldest first."""
        return [scan.record for scan in self._scans.values()]

    def tell(self, event: Event) -> None:
        """Follow an event."""
        if event.session not in self._scans:
            self._scans[event.session] = _Scan(_new_record(event.session))
        scan = self._scans[event.session]
        scan.record.add(event)
        match event:
            case ScanAdmitted(header_xml=xml):
                scan.header_xml = xml
                self._do(self._read_header(scan.record, xml))
            case ImageSent(image=image):
                scan.keep(image)
            case ScanEnded():
                del self._scans[event.session]
                self._do(self._keep(scan))
        self._changed()

    async def finish(self) -> None:
        """Wait until every scan that has ended is in the history."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._thread.shutdown()

    def _do(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_header(self, record: ScanRecord, xml: str) -> None:
        # the one thread is used in turn, so that the header is read before the scan is kept
        await asyncio.get_running_loop().run_in_executor(self._thread, record.read_header, xml)
        self._changed()

    async def _keep(self, scan: _Scan) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, self.history.add, scan.record, scan.images, scan.header_xml
            )
            self.trouble = ""
        except FileError as error:
            self.trouble = f"The scan {scan.record.id} is not in the history: {error}"
            LOG.error("%s", self.trouble)
        except Exception as error:
            self.trouble = f"The scan {scan.record.id} is not in the history, by a defect: {error}."
            LOG.exception("A scan could not be kept.")
        self._changed()


def _new_record(session: str) -> ScanRecord:
    now = datetime.now(UTC)
    return ScanRecord(
        id=f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z_{session}",
        started=now.isoformat(timespec="milliseconds"),
    )
