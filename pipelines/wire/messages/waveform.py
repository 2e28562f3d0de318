"""Waveforms: physiological and other signals recorded during the scan.

Body: 40-byte header, samples (channel, sample) in uint32.
"""

import ctypes

import ismrmrd

from spokestream.pipelines.wire.errors import LocalProtocolError
from spokestream.pipelines.wire.fields import U16, Buffer, Fill, as_buffer, take, take_array, take_passage
from spokestream.pipelines.wire.limits import Limits, bounded
from spokestream.pipelines.wire.message_kind import MessageKind
from spokestream.pipelines.wire.messages.data import Data
from spokestream.pipelines.wire.messages.undecoded import Undecoded

__all__ = ["KINDS", "WAVEFORM"]

ID = 1026
HEADER_BYTES = ctypes.sizeof(ismrmrd.WaveformHeader)


def _read_header(limits: Limits) -> Fill[ismrmrd.WaveformHeader]:
    header = ismrmrd.WaveformHeader.from_buffer((yield from take(HEADER_BYTES)))
    channels, samples = header.channels, header.number_of_samples
    bounded(4 * channels * samples, limits.body, f"a waveform ({channels} channels, {samples} samples)")
    return header


def _read(limits: Limits) -> Fill[Data]:
    header = yield from _read_header(limits)
    shape = header.channels, header.number_of_samples
    return Data(ismrmrd.Waveform(header, (yield from take_array(shape, "<u4"))))


def _frame(limits: Limits) -> Fill[Undecoded]:
    header = yield from _read_header(limits)
    samples = yield from take_passage(4 * header.channels * header.number_of_samples)
    return Undecoded(header, (U16.pack(ID) + bytes(header), samples))


def _write(event: Data) -> list[Buffer]:
    waveform = event.item
    header = waveform.getHead()
    if waveform.data.shape != (header.channels, header.number_of_samples):
        raise LocalProtocolError(
            f"The waveform's header promises {(header.channels, header.number_of_samples)}, "
            f"its samples are {waveform.data.shape}."
        )
    return [bytes(header), as_buffer(waveform.data, "<u4")]


WAVEFORM = MessageKind(ID, "WAVEFORM", Data, _read, _write, item=ismrmrd.Waveform, frame=_frame)

KINDS = (WAVEFORM,)
