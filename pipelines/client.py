"""The other end of the server: sends a scan as a scanner would, and listens while it sends."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

import ismrmrd

from pipelines import wire

__all__ = ["ClientError", "Pace", "Reply", "send_scan"]

READ_BYTES = 1 << 18
Pace: TypeAlias = Sequence[float] | Callable[[int], float]
"""Seconds between item i and the next: one number an item, or a function of i."""


class ClientError(Exception):
    """The scan was not reconstructed; the message is one sentence."""


@dataclass
class Reply:
    """What a server made of a scan."""

    images: list[ismrmrd.Image] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    seconds_from_last_spoke_to_last_image: float = 0.0
    """How long the person at the console waits after the scan."""


def send_scan(
    header_xml: str,
    items: Iterable[Any],
    host: str = "localhost",
    port: int = 9002,
    config: str = "mrf_t1ff",
    pace: Pace | None = None,
    on_event: Callable[[wire.Event], None] | None = None,
    timeout_s: float = 600.0,
) -> Reply:
    """Send a scan and gather the images.

    Args:
        header_xml: ISMRMRD header.
        items: acquisitions, waveforms and images, in order.
        host: name or address of the server.
        port: its TCP port.
        config: name of the pipeline, or XML.
        pace: when to send which item; as fast as the server takes them if None.
        on_event: called, in another thread, with everything that the server says.
        timeout_s: how long to wait for a server that neither reads nor, after the scan, says anything.

    Raises ClientError when there is no server, when it refuses the scan, or when it hangs up.

    """
    conversation = _Conversation(_connect(host, port, timeout_s), on_event)
    with conversation.socket:
        listening = threading.Thread(target=conversation.listen, daemon=True)
        listening.start()
        try:
            conversation.speak(config, header_xml, items, pace)
        finally:
            conversation.finished_speaking.set()
            if not conversation.said_close:
                conversation.socket.shutdown(socket.SHUT_RDWR)
            listening.join()
    return conversation.result()
