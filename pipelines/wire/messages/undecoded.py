"""The event of an acquisition or a waveform that is passed on as it came, or of an image that nobody wants."""

from dataclasses import dataclass

import ismrmrd

from spokestream.pipelines.wire.fields import Buffer
from spokestream.pipelines.wire.message_kind import Event

__all__ = ["Undecoded"]


@dataclass(frozen=True, slots=True)
class Undecoded(Event):
    """An acquisition, waveform or image whose header was checked, and whose arrays were not decoded."""

    header: ismrmrd.AcquisitionHeader | ismrmrd.WaveformHeader | ismrmrd.ImageHeader
    message: tuple[Buffer, ...]
    """The bytes of the whole message, which may share memory with the received chunk; of an image none."""
