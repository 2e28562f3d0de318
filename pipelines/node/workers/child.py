"""The process that reconstructs scans, one after another.

It answers with a line when its networks are loaded, receives the socket of a scan, and says again that it is ready when
that scan has ended. `link` describes what is said on the socket of a scan. If the node closes it before the scan has
ended, or vanishes, the scan is cancelled.
"""

import gc
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from traceback import format_exception
from typing import Any

import ismrmrd

from spokestream.errors import SpokestreamError
from spokestream.gadgets.scan.cancellation import CancelledScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.workers.allocation import return_memory, share_arena
from spokestream.pipelines.node.workers.feed import Feed
from spokestream.pipelines.node.workers.inbox import AbandonedError
from spokestream.pipelines.node.workers.link import READY, items_of, process_end, receive_object
from spokestream.pipelines.run_chain import RunningChain, run_chain

__all__ = ["main", "serve_scans"]

StartScan = Callable[[Any, str, logging.Logger], RunningChain]


def main(control: socket.socket, networks: Sequence[Any], grid_bytes: int) -> None:
    """Serve the scans of the node that started this process, until it closes the socket.

    Args:
        control: the socket on which the node sends those of the scans.
        networks: the settings of pipelines whose networks are loaded.
        grid_bytes: largest memory of grids that is kept from one scan to the next.

    """
    os.setpgid(0, 0)  # so that Ctrl-C in a terminal reaches only the node, which lets scans finish
    share_arena()  # where processes are not forked from one that has done so
    logging.basicConfig(level=logging.WARNING)
    with control, suppress(OSError):
        try:
            from spokestream.gadgets.imaging.kept_grids import KEPT_GRIDS
            from spokestream.pipelines.chains import warm_up
            from spokestream.pipelines.selection import start_scan

            KEPT_GRIDS.most_bytes = grid_bytes
            for settings in networks:
                warm_up(settings)
        except SpokestreamError as error:
            control.sendall(f"{error}\n".encode())
        else:
            gc.freeze()  # what was loaded stays; a collection that looks at it takes as long as a hundred readouts
            serve_scans(control, start_scan)


def serve_scans(control: socket.socket, start_scan: StartScan) -> None:
    """Reconstruct the scans whose sockets come over `control`, until it is closed, or after a defect.

    Raises OSError if it is closed while this process says that it is ready.
    """
    sound = True
    while sound:
        control.sendall(f"{READY}\n".encode())
        _, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if not sockets:
            return
        with socket.socket(fileno=sockets[0]) as sock:
            sound = _Scan(sock).run(start_scan)
        gc.collect()
        return_memory()


class _Scan:
    """One scan, from its selection to its last image."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket, self._wire = sock, process_end()
        self._sending = threading.Lock()
        self._chain: RunningChain | None = None

    def run(self, start_scan: StartScan) -> bool:
        """Reconstruct the scan; returns whether this process can take another one."""
        selection, header_xml = receive_object(self._socket)
        feed = Feed(self._socket, self._cancel)
        log = logging.Logger("spokestream.chain")
        log.addHandler(_LinesToNode(self._say))
        outcome: dict[str, Any] = {}
        try:
            self._chain = start_scan(selection, header_xml, log)
            with closing(run_chain(self._chain, items_of(feed))) as outputs:
                for item in outputs:
                    # only images: readouts and waveforms, which the chain passes on, make some clients fail
                    if isinstance(item, ismrmrd.Image):
                        self._send(wire.Data(item))
        except SpokestreamError as error:
            outcome = {"error": str(error)}
        except (ConnectionError, AbandonedError, CancelledScanError):
            pass  # nobody waits for the scan any more
        except Exception as error:  # noqa: BLE001  the node must get every error
            outcome = {"defect": f"{type(error).__name__}: {error}", "traceback": "".join(format_exception(error))}
        self._chain = None
        with suppress(ConnectionError):
            self._say(outcome)
            self._send(wire.Close())
        feed.finish()
        return "defect" not in outcome

    def _cancel(self) -> None:
        if chain := self._chain:
            chain.cancel()

    def _say(self, what: dict[str, Any]) -> None:
        self._send(wire.Text(json.dumps(what)))

    def _send(self, event: wire.Event) -> None:
        with self._sending:
            for part in self._wire.send(event):
                self._socket.sendall(part)


class _LinesToNode(logging.Handler):
    """Sends the log of a chain to the node."""

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line. The chain may run in any thread."""
        with suppress(ConnectionError):
            self._say({"level": record.levelno, "line": record.getMessage()})
