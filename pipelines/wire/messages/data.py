"""The event that acquisitions, images and waveforms share."""

from dataclasses import dataclass
from typing import Any

from spokestream.pipelines.wire.message_kind import Event

__all__ = ["Data"]


@dataclass(frozen=True, slots=True)
class Data(Event):
    """An `ismrmrd.Acquisition`, `ismrmrd.Image` or `ismrmrd.Waveform`."""

    item: Any
