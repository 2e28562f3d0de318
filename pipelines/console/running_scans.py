"""The scans that are running: their records, and their images until the history has them."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import ismrmrd

from spokestream.errors import FileError
from spokestream.pipelines.console.growing_maps import MOST_IMAGE_BYTES, GrowingMaps, MapsSoFar
from spokestream.pipelines.console.history import History
from spokestream.pipelines.console.scan_record import ScanRecord
from spokestream.pipelines.node.events import Event, ImageSent, ScanAdmitted, ScanEnded

__all__ = ["RunningScans"]

LOG = logging.getLogger("spokestream.history")
SETTLED_S = 0.1
"""Images that come without a longer pause belong together, and are shown together."""


@dataclass
class _Scan:
    record: ScanRecord
    header_xml: str = ""
    maps: GrowingMaps = field(default_factory=GrowingMaps)
    revision: int = 0
    """Number of times that the maps to show have changed."""
    settling: asyncio.TimerHandle | None = None
    shown: tuple[int, MapsSoFar | None] = (0, None)
    """The revision that was shown last, and its maps."""

    def keep(self, image: ismrmrd.Image) -> None:
        """Keep an image, with a warning when there are too many."""
        already_full = self.maps.too_many
        self.maps.add(image)
        if self.maps.too_many and not already_full:
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
    def summaries(self) -> list[dict[str, Any]]:
        """The records of the running scans, oldest first; `revision` counts the changes of their maps."""
        return [{**scan.record.summary(), "revision": scan.revision} for scan in self._scans.values()]

    async def maps_so_far(self, identity: str) -> tuple[ScanRecord, MapsSoFar | None] | None:
        """The record of a running scan and its maps so far; None if no such scan is running."""
        scan = next((scan for scan in self._scans.values() if scan.record.id == identity), None)
        if scan is None:
            return None
        revision, slices = scan.revision, scan.maps.slices()
        if scan.shown[0] != revision:
            scan.shown = revision, await asyncio.to_thread(MapsSoFar.of, slices) if slices else None
        return scan.record, scan.shown[1]

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
                if scan.settling:
                    scan.settling.cancel()
                scan.settling = asyncio.get_running_loop().call_later(SETTLED_S, self._settled, scan)
            case ScanEnded():
                del self._scans[event.session]
                if scan.settling:
                    scan.settling.cancel()
                self._do(self._keep(scan))
        self._changed()

    def _settled(self, scan: _Scan) -> None:
        scan.revision += 1
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
                self._thread, self.history.add, scan.record, scan.maps.final, scan.header_xml
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
