"""Body of an acquisition: 340-byte header, trajectory (sample, dimension), samples (channel, sample)."""

import ctypes

import ismrmrd
import numpy as np

from spokestream.pipelines.wire.control import U32
from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError
from spokestream.pipelines.wire.fill import Buffer, Fill, as_buffer, take, take_array, take_number
from spokestream.pipelines.wire.limits import Limits, bounded
from spokestream.pipelines.wire.nhlbi import decompress

__all__ = ["read_acquisition", "write_acquisition"]

HEADER_BYTES = ctypes.sizeof(ismrmrd.AcquisitionHeader)
NHLBI = 1 << (ismrmrd.ACQ_COMPRESSION2 - 1)
COMPRESSIONS = {
    1 << (ismrmrd.ACQ_COMPRESSION1 - 1): "ZFP",
    1 << (ismrmrd.ACQ_COMPRESSION3 - 1): "an unknown scheme (flag 55)",
    1 << (ismrmrd.ACQ_COMPRESSION4 - 1): "an unknown scheme (flag 56)",
}


def read_acquisition(limits: Limits) -> Fill[ismrmrd.Acquisition]:
    """Read an acquisition; NHLBI-compressed samples are unpacked and the flag that says so is cleared."""
    header = ismrmrd.AcquisitionHeader.from_buffer((yield from take(HEADER_BYTES)))
    channels, samples, dims = header.active_channels, header.number_of_samples, header.trajectory_dimensions
    for flag, scheme in COMPRESSIONS.items():
        if header.flags & flag:
            raise MalformedError(f"the acquisition is compressed with {scheme}, which is not supported; switch it off")
    bounded(
        samples * (4 * dims + 8 * channels), limits.body, f"an acquisition ({channels} channels, {samples} samples)"
    )
    trajectory = yield from take_array((samples, dims), "<f4")
    if header.flags & NHLBI:
        # at most 31 bits a number: compressed is never longer than plain, but for the blob's own header
        size = bounded((yield from take_number(U32)), 8 * channels * samples + 64, "compressed samples")
        packed = yield from take(size)
        data = decompress(packed, 2 * channels * samples).view(np.complex64).reshape(channels, samples)
        header.flags &= ~NHLBI
    else:
        data = yield from take_array((channels, samples), "<c8")
    return ismrmrd.Acquisition(header, data, trajectory)


def write_acquisition(acquisition: ismrmrd.Acquisition) -> list[Buffer]:
    """Mirror of `read_acquisition`, never compressed.

    Raises LocalProtocolError when header and arrays disagree: the reader would lose its place in the stream.
    """
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
