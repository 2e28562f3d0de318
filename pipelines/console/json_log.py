"""The log for programs: one JSON object a line, with the session it belongs to."""

import json
import logging
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from spokestream.pipelines.node.events import Event, ImageSent, ReadoutsReceived, ScanAdmitted, ScanEnded, ScanWarned
from spokestream.pipelines.node.session import LOG as SESSIONS

__all__ = ["JsonLines", "log_event"]

LOG = logging.getLogger("spokestream.events")
NAMES: dict[type[Event], str] = {
    ScanAdmitted: "scan_admitted",
    ImageSent: "image_sent",
    ScanWarned: "scan_warned",
    ScanEnded: "scan_ended",
}


def log_event(event: Event) -> None:
    """Write an event to the log. Readouts are not written, because there are hundreds a second."""
    if isinstance(event, ReadoutsReceived):
        return
    if isinstance(event, ImageSent):
        image = event.image
        told: dict[str, Any] = {
            "session": event.session,
            "series": int(image.image_series_index),
            "slice": int(image.slice),
        }
    else:
        told = {key: value for key, value in asdict(event).items() if key != "header_xml"}
    name = NAMES[type(event)]
    LOG.info("%s", name.replace("_", " "), extra={"told": {"event": name, **told}})


class JsonLines(logging.Formatter):
    """Formats each record as one JSON object: time (UTC), level, logger, message; and session and event if known."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.name.startswith(f"{SESSIONS.name}."):
            line["session"] = record.name.removeprefix(f"{SESSIONS.name}.").partition(".")[0]
        line |= getattr(record, "told", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)  # in ASCII: whatever a client sends, the line shows as it is and in one direction
