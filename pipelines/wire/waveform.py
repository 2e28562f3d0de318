"""Body of a waveform: 40-byte header, uint32 samples (channel, sample)."""

import ctypes

import ismrmrd

from spokestream.pipelines.wire.errors import LocalProtocolError
from spokestream.pipelines.wire.fill import Buffer, Fill, as_buffer, take, take_array
from spokestream.pipelines.wire.limits import Limits, bounded

__all__ = ["read_waveform", "write_waveform"]


def read_waveform(limits: Limits) -> Fill[ismrmrd.Waveform]:
    """Read a waveform."""
    header = ismrmrd.WaveformHeader.from_buffer((yield from take(ctypes.sizeof(ismrmrd.WaveformHeader))))
    channels, samples = header.channels, header.number_of_samples
    bounded(4 * channels * samples, limits.body, f"a waveform ({channels} channels, {samples} samples)")
    return ismrmrd.Waveform(header, (yield from take_array((channels, samples), "<u4")))


def write_waveform(waveform: ismrmrd.Waveform) -> list[Buffer]:
    """Mirror of `read_waveform`. Raises LocalProtocolError when header and samples disagree."""
    header = waveform.getHead()
    if waveform.data.shape != (header.channels, header.number_of_samples):
        raise LocalProtocolError(
            f"The waveform's header promises {(header.channels, header.number_of_samples)}, "
            f"its samples are {waveform.data.shape}."
        )
    return [bytes(header), as_buffer(waveform.data, "<u4")]
