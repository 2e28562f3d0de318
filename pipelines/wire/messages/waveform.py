"""Waveforms: physiological and other signals recorded during the scan.

Body: 40-byte header, samples (channel, sample) in uint32.
"""

import ctypes

import ismrmrd

from spokestream.pipelines.wire.errors import LocalProtocolError
from spokestream.pipelines.wire.fields import Buffer, Fill, as_buffer, take, take_array
from spokestream.pipelines.wire.limits import Limits, bounded
from spokestream.pipelines.wire.message_kind import MessageKind
from spokestream.pipelines.wire.messages.data import Data

__all__ = ["KINDS", "WAVEFORM"]


def _read(limits: Limits) -> Fill[Data]:
    header = ismrmrd.WaveformHeader.from_buffer((yield from take(ctypes.sizeof(ismrmrd.WaveformHeader))))
    channels, samples = header.channels, header.number_of_samples
    bounded(4 * channels * samples, limits.body, f"a waveform ({channels} channels, {samples} samples)")
    return Data(ismrmrd.Waveform(header, (yield from take_array((channels, samples), "<u4"))))


def _write(event: Data) -> list[Buffer]:
    waveform = event.item
    header = waveform.getHead()
    if waveform.data.shape != (header.channels, header.number_of_samples):
        raise LocalProtocolError(
            f"The waveform's header promises {(header.channels, header.number_of_samples)}, "
            f"its samples are {waveform.data.shape}."
        )
    return [bytes(header), as_buffer(waveform.data, "<u4")]


WAVEFORM = MessageKind(1026, "WAVEFORM", Data, _read, _write, item=ismrmrd.Waveform)

KINDS = (WAVEFORM,)
