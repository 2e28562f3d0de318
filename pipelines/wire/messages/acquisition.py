"""Acquisitions: the samples of one readout in all channels, with its trajectory.

Body: 340-byte header, trajectory (sample, dimension) in float32, samples (channel, sample) in complex64.
"""

import ctypes

import ismrmrd
import numpy as np

from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError
from spokestream.pipelines.wire.fields import (
    U16,
    U32,
    Buffer,
    Fill,
    as_buffer,
    take,
    take_array,
    take_number,
    take_passage,
)
from spokestream.pipelines.wire.limits import Limits, bounded
from spokestream.pipelines.wire.message_kind import MessageKind
from spokestream.pipelines.wire.messages.data import Data
from spokestream.pipelines.wire.messages.nhlbi import check_compressed, decompress
from spokestream.pipelines.wire.messages.undecoded import Undecoded

__all__ = ["ACQUISITION", "KINDS", "array_bytes"]

ID = 1008

HEADER_BYTES = ctypes.sizeof(ismrmrd.AcquisitionHeader)
NHLBI = 1 << (ismrmrd.ACQ_COMPRESSION2 - 1)
MOST_CHANNELS = 1024
"""Bits of an acquisition's channel mask. The noise covariance grows with the square of the number of channels."""
COMPRESSIONS = {
    1 << (ismrmrd.ACQ_COMPRESSION1 - 1): "ZFP",
    1 << (ismrmrd.ACQ_COMPRESSION3 - 1): "an unknown scheme (flag 55)",
    1 << (ismrmrd.ACQ_COMPRESSION4 - 1): "an unknown scheme (flag 56)",
}
"""Flags of the compression schemes that are not supported."""


def array_bytes(header: ismrmrd.AcquisitionHeader) -> int:
    """The bytes of trajectory and samples that a header announces."""
    return int(header.number_of_samples * (4 * header.trajectory_dimensions + 8 * header.active_channels))


def _read_header(limits: Limits) -> Fill[ismrmrd.AcquisitionHeader]:
    header = ismrmrd.AcquisitionHeader.from_buffer((yield from take(HEADER_BYTES)))
    channels, samples = header.active_channels, header.number_of_samples
    for flag, scheme in COMPRESSIONS.items():
        if header.flags & flag:
            raise MalformedError(f"the acquisition is compressed with {scheme}, which is not supported; switch it off")
    if channels > MOST_CHANNELS:
        raise MalformedError(f"an acquisition has {channels} channels; ISMRMRD's channel mask has {MOST_CHANNELS}")
    bounded(array_bytes(header), limits.body, f"an acquisition ({channels} channels, {samples} samples)")
    return header


def _read(limits: Limits) -> Fill[Data]:
    return (yield from _read_arrays((yield from _read_header(limits))))


def _read_arrays(header: ismrmrd.AcquisitionHeader) -> Fill[Data]:
    """NHLBI-compressed samples are unpacked, and the flag that marks them as compressed is cleared."""
    channels, samples, dims = header.active_channels, header.number_of_samples, header.trajectory_dimensions
    trajectory = yield from take_array((samples, dims), "<f4")
    if header.flags & NHLBI:
        packed = yield from take((yield from _take_compressed_size(header)))
        data = decompress(packed, 2 * channels * samples).view(np.complex64).reshape(channels, samples)
        header.flags &= ~NHLBI
    else:
        data = yield from take_array((channels, samples), "<c8")
    return Data(ismrmrd.Acquisition(header, data, trajectory))


def _take_compressed_size(header: ismrmrd.AcquisitionHeader) -> Fill[int]:
    # a number has at most 31 bits, so that only the blob's own header makes it longer than plain samples
    most = 8 * header.active_channels * header.number_of_samples + 64
    return bounded((yield from take_number(U32)), most, "compressed samples")


def _frame(limits: Limits) -> Fill[Undecoded]:
    """NHLBI-compressed samples are checked here, and unpacked by whoever decodes: 8 MB may become 256."""
    header = yield from _read_header(limits)
    start = U16.pack(ID) + bytes(header)
    if not header.flags & NHLBI:
        return Undecoded(header, (start, (yield from take_passage(array_bytes(header)))))
    trajectory = yield from take_passage(4 * header.trajectory_dimensions * header.number_of_samples)
    size = yield from _take_compressed_size(header)
    packed = yield from take_passage(size)
    check_compressed(packed, 2 * header.active_channels * header.number_of_samples)
    return Undecoded(header, (start, trajectory, U32.pack(size), packed))


def _write(event: Data) -> list[Buffer]:
    """Samples are never compressed. The header must agree with the arrays, or the reader loses its place."""
    acquisition = event.item
    header = acquisition.getHead()
    shapes = (
        (header.active_channels, header.number_of_samples),
        (header.number_of_samples, header.trajectory_dimensions),
    )
    if (acquisition.data.shape, acquisition.traj.shape) != shapes:
        raise LocalProtocolError(
            f"The acquisition's header promises samples {shapes[0]} and trajectory {shapes[1]}, "
            f"its arrays are {acquisition.data.shape} and {acquisition.traj.shape}."
        )
    if header.flags & (NHLBI | sum(COMPRESSIONS)):
        raise LocalProtocolError("The acquisition's flags say compressed, its samples are not.")
    return [bytes(header), as_buffer(acquisition.traj, "<f4"), as_buffer(acquisition.data, "<c8")]


ACQUISITION = MessageKind(ID, "ACQUISITION", Data, _read, _write, item=ismrmrd.Acquisition, frame=_frame)

KINDS = (ACQUISITION,)
