"""What a monitoring system counts, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from spokestream.pipelines.files.image_notes import image_counts
from spokestream.pipelines.node.events import Event, ImageSent, ReadoutsReceived, ScanAdmitted, ScanEnded

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
OUTCOMES = ("finished", "failed", "refused", "stopped")
LATENCIES_S = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)
"""Limits between the bins of the wait for maps: a network answers in about 1 s, matching in 4, a busy node in 30."""


class Metrics:
    """Counts the events of all scans since the node began."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._scans = Counter("spokestream_scans", "Scans that have ended, by outcome.", ["outcome"], registry=registry)
        for outcome in OUTCOMES:
            self._scans.labels(outcome)  # a counter that appears at 0 shows its first increase
        self._readouts = Counter("spokestream_readouts", "Readouts received.", registry=registry)
        self._images = Counter("spokestream_images", "Images sent.", registry=registry)
        self._warnings = Counter("spokestream_warnings", "Warnings sent to clients.", registry=registry)
        self._flagged = Counter(
            "spokestream_flagged_voxels", "Voxels whose maps do not explain the signal.", registry=registry
        )
        self._foreground = Counter("spokestream_foreground_voxels", "Voxels of tissue.", registry=registry)
        self._latency = Histogram(
            "spokestream_last_spoke_to_last_map_seconds", "Wait for the maps after the last readout.",
            buckets=LATENCIES_S, registry=registry,
        )  # fmt: skip
        self._running = Gauge("spokestream_running_scans", "Scans that are being reconstructed.", registry=registry)
        self._queue = Gauge("spokestream_queue_bytes", "Data that wait to be reconstructed.", registry=registry)
        self._recordings = Gauge("spokestream_recordings", "Recordings in the folder.", registry=registry)
        self._recorded = Gauge("spokestream_recordings_bytes", "Size of all recordings.", registry=registry)
        self._read: dict[str, int] = {}
        """Number of readouts of every running scan."""
        self._seen: dict[str, set[int]] = {}
        """The slices of every running scan whose counts were added."""

    def tell(self, event: Event) -> None:
        """Count one event."""
        match event:
            case ScanAdmitted():
                self._read[event.session], self._seen[event.session] = 0, set()
                self._running.set(len(self._read))
            case ReadoutsReceived():
                self._add_readouts(event.session, event.readouts)
            case ImageSent():
                self._images.inc()
                self._count_voxels(event)
            case ScanEnded():
                self._add_readouts(event.session, event.readouts)
                self._read.pop(event.session, None)
                self._seen.pop(event.session, None)
                self._running.set(len(self._read))
                self._scans.labels(event.outcome).inc()
                if event.outcome == "finished" and event.latency_s is not None:
                    self._latency.observe(event.latency_s)
            case _:
                self._warnings.inc()

    def _add_readouts(self, session: str, readouts: int) -> None:
        self._readouts.inc(readouts - self._read.get(session, 0))
        self._read[session] = readouts

    def _count_voxels(self, event: ImageSent) -> None:
        """Add the counts of a slice, which are the same for all its maps, once."""
        seen, slice_index = self._seen[event.session], int(event.image.slice)
        counts = image_counts(event.image)
        if slice_index not in seen and "foreground" in counts:
            seen.add(slice_index)
            self._flagged.inc(counts.get("flagged", 0))
            self._foreground.inc(counts["foreground"])

    def render(self, queue_bytes: int, recordings: int, recorded_bytes: int) -> bytes:
        """The text of all counts at this moment, in the format of `CONTENT_TYPE`."""
        self._queue.set(queue_bytes)
        self._recordings.set(recordings)
        self._recorded.set(recorded_bytes)
        return generate_latest(self._registry)
