"""What the server tells its observers about scans: the page, the counts for monitoring, the log."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import ismrmrd

__all__ = [
    "Event",
    "ImageSent",
    "Observer",
    "Outcome",
    "ReadoutsReceived",
    "ScanAdmitted",
    "ScanEnded",
    "ScanWarned",
    "all_of",
]

LOG = logging.getLogger("spokestream.server")
Outcome: TypeAlias = Literal["finished", "failed", "refused", "stopped"]
"""How a scan ended: with its maps; with an error; before it began; or because the node was stopped."""


@dataclass(frozen=True)
class ScanAdmitted:
    """The header of a scan has arrived, and the scan may begin."""

    session: str
    pipeline: str
    header_xml: str


@dataclass(frozen=True)
class ReadoutsReceived:
    """More readouts have arrived."""

    session: str
    readouts: int
    """Number of readouts of the scan so far."""


@dataclass(frozen=True)
class ImageSent:
    """An image was sent to the client."""

    session: str
    image: ismrmrd.Image


@dataclass(frozen=True)
class ScanWarned:
    """The client was warned."""

    session: str
    sentence: str


@dataclass(frozen=True)
class ScanEnded:
    """A scan has ended, or one that a client asked for was refused."""

    session: str
    pipeline: str
    outcome: Outcome
    sentence: str
    """The error in one sentence; empty if the scan finished."""
    readouts: int
    images: int
    seconds: float
    """Time since the session began, in s."""
    latency_s: float | None
    """Time from the last readout to the last image, in s; None if there is no image."""


Event: TypeAlias = ScanAdmitted | ReadoutsReceived | ImageSent | ScanWarned | ScanEnded
Observer: TypeAlias = Callable[[Event], None]
"""An observer is called in the event loop, in the order of the events, and must return at once."""


def all_of(*observers: Observer) -> Observer:
    """One observer for several. An error in one of them is logged, because it must not end a scan."""

    def tell(event: Event) -> None:
        for observer in observers:
            try:
                observer(event)
            except Exception:
                LOG.exception("An observer of scan %s has a defect.", event.session)

    return tell
