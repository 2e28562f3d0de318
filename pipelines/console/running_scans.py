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
from spokestream.pipelines.console.growing_maps import GrowingMaps, MapsSoFar
from spokestream.pipelines.console.history import History
from spokestream.pipelines.console.scan_record import ScanRecord
from spokestream.pipelines.node.events import Event, ImageSent, ReadoutsReceived, ScanAdmitted, ScanEnded

__all__ = ["RunningScans"]

LOG = logging.getLogger("spokestream.history")
SETTLED_S = 0.1
"""Images that come without a longer pause belong together, and are shown together."""
MOST_WAITING = 16
"""Ended scans that may wait to be written; others are not in the history."""
LONGEST_HEADER = 1 << 20
"""Characters of a header above which it is neither read nor kept: trains of 20,000 spokes have as many."""
FINISH_S = 10.0
"""Time to write the scans that have ended when the node stops."""


@dataclass
class _Scan:
    record: ScanRecord
    header_xml: str = ""
    is_read: bool = False
    """Whether the header is read, or has been."""
    maps: GrowingMaps = field(default_factory=GrowingMaps)
    revision: int = 0
    """Number of times that the maps to show have changed."""
    settling: asyncio.TimerHandle | None = None
    shown: tuple[int, MapsSoFar | None] = (0, None)
    """The revision that was shown last, and its maps."""


class RunningScans:
    """Follows the events of all scans, and gives those that end to the history, in a thread of its own.

    Args:
        history: the history.
        most_bytes: size of the images of all scans that are kept in memory until they are written.
        changed: called in the event loop after every event, and when the history has changed.

    """

    def __init__(self, history: History, most_bytes: int, changed: Callable[[], None]) -> None:
        self.history = history
        self.trouble = ""
        """Why the last scan is not in the history, in one sentence; empty if it is."""
        self._most_bytes, self._changed = most_bytes, changed
        self._ended: dict[str, _Scan] = {}
        """Those that wait to be written."""
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
                scan.header_xml = xml if len(xml) <= LONGEST_HEADER else ""
            case ReadoutsReceived() if scan.header_xml and not scan.is_read:
                # not before, because a scan has memory of its own from its first readout on
                scan.is_read = True
                self._do(self._read_header(scan.record, scan.header_xml))
            case ImageSent(image=image):
                self._hold(scan, image)
                if scan.settling:
                    scan.settling.cancel()
                scan.settling = asyncio.get_running_loop().call_later(SETTLED_S, self._settled, scan)
            case ScanEnded():
                del self._scans[event.session]
                if scan.settling:
                    scan.settling.cancel()
                self._end(scan)
        self._changed()

    def _hold(self, scan: _Scan, image: ismrmrd.Image) -> None:
        """Keep an image in memory, or none of its scan if there are too many."""
        scan.maps.add(image)
        held = sum(other.maps.n_bytes for scans in (self._scans, self._ended) for other in scans.values())
        if held > self._most_bytes:
            scan.maps.give_up()
            scan.record.warn(
                f"The maps are not in the history: with those of other scans, they are larger than "
                f"{self._most_bytes >> 20} MiB."
            )

    def _end(self, scan: _Scan) -> None:
        """Have a scan written, unless too many wait already."""
        if len(self._ended) >= MOST_WAITING:
            self.trouble = f"The scan {scan.record.id} is not in the history: {MOST_WAITING} others wait to be written."
            LOG.error("%s", self.trouble)
            return
        if not scan.is_read:
            scan.header_xml = ""  # of a scan without readouts, nothing is kept but that it was there
        self._ended[scan.record.id] = scan
        self._do(self._keep(scan))

    def _settled(self, scan: _Scan) -> None:
        scan.revision += 1
        self._changed()

    async def finish(self) -> None:
        """Write every scan that has ended to the history, as far as that takes no longer than `FINISH_S`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FINISH_S)
        if self._ended:
            LOG.error("%d scans are not in the history, because the node was stopped.", len(self._ended))
        self._thread.shutdown(wait=not self._tasks, cancel_futures=True)

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
        finally:
            del self._ended[scan.record.id]
        self._changed()


def _new_record(session: str) -> ScanRecord:
    now = datetime.now(UTC)
    return ScanRecord(
        id=f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z_{session}",
        started=now.isoformat(timespec="milliseconds"),
    )
