"""The record of a scan: what the page shows of it beside its maps."""

from dataclasses import dataclass, field
from typing import Any

from spokestream.errors import ScanError
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.stored_maps.provisional import is_provisional
from spokestream.pipelines.node.events import Event, ImageSent, ReadoutsReceived, ScanEnded, ScanWarned

__all__ = ["ScanRecord"]

RUNNING = "running"
MOST_WARNINGS = 200
"""Warnings of one scan that are kept. A scan of a thousand slices can be warned of each of them."""


@dataclass
class ScanRecord:
    """One scan, from its header to its end."""

    id: str
    """Name of its folder in the history: `20261126T090000.000Z_0123abcd`."""
    started: str
    """When its header came, or its refusal, in UTC: `2026-11-26T09:00:00.000+00:00`."""
    pipeline: str = ""
    protocol: str = ""
    """Name of the protocol in the header; empty if it is unknown."""
    expected_readouts: int | None = None
    """Spokes of all slices according to the header, without noise readouts; None if it does not say."""
    readouts: int = 0
    images: int = 0
    outcome: str = RUNNING
    sentence: str = ""
    """The error; empty if there is none."""
    seconds: float = 0.0
    latency_s: float | None = None
    """Time from the last readout to the last image, in s."""
    n_warnings: int = 0
    warnings: list[str] = field(default_factory=list)
    """The first `MOST_WARNINGS` of them."""
    maps: list[str] = field(default_factory=list)
    """Names of the maps in the history."""

    def add(self, event: Event) -> None:
        """Take what an event says."""
        match event:
            case ReadoutsReceived():
                self.readouts = event.readouts
            case ImageSent(image=image):
                self.images += not is_provisional(image)
            case ScanWarned():
                self.warn(event.sentence)
            case ScanEnded():
                self.pipeline, self.outcome, self.sentence = event.pipeline, event.outcome, event.sentence
                self.readouts, self.images = event.readouts, event.images
                self.seconds, self.latency_s = event.seconds, event.latency_s
            case _:
                self.pipeline = event.pipeline

    def warn(self, sentence: str) -> None:
        """Add a warning."""
        self.n_warnings += 1
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(sentence)

    def read_header(self, xml: str) -> None:
        """Take the protocol and the expected number of readouts from the header; a broken one says neither."""
        try:
            header = ScanHeader.from_xml(xml)
        except ScanError:
            return
        self.protocol = header.protocol
        spokes = max(len(train) for train in (header.te_ms, header.tr_ms, header.flip_angle_deg))
        self.expected_readouts = spokes * header.n_slices if spokes > 1 else None

    def as_json(self) -> dict[str, Any]:
        """All fields, for the file of the scan."""
        return dict(vars(self))

    def summary(self) -> dict[str, Any]:
        """All fields but the warnings, for lists on the page."""
        return {name: value for name, value in vars(self).items() if name != "warnings"}
