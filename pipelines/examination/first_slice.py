"""The readouts of a scan, counted, and those of its first slice, which a chain can reconstruct by themselves."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import ismrmrd
import numpy as np

from spokestream.gadgets.readouts.flags import is_imaging
from spokestream.pipelines.files.scan_source import ScanSource

__all__ = ["FirstSlice", "ReadoutCount", "count_readouts"]


@dataclass
class ReadoutCount:
    """What the readouts of a scan have in common, and how they differ."""

    readouts: int = 0
    noise: int = 0
    other: Counter[int] = field(default_factory=Counter)
    """Flags of readouts that are no spokes -> number of readouts; noise is not among them."""
    spokes: Counter[int] = field(default_factory=Counter)
    """Number of a slice -> number of its spokes."""
    runs: int = 0
    """Number of times that a slice begins; more than there are slices if they are interleaved."""
    encodings: Counter[int] = field(default_factory=Counter)
    shapes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(coils, samples) of spokes -> number of spokes."""
    discards: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Samples that spokes discard at the start and at the end -> number of spokes."""
    centers: Counter[int] = field(default_factory=Counter)
    """`center_sample` of spokes -> number of spokes."""
    dwells_us: Counter[float] = field(default_factory=Counter)
    dimensions: Counter[int] = field(default_factory=Counter)
    """Columns of the embedded trajectory of spokes -> number of spokes."""
    angles: set[float] = field(default_factory=set)
    """Different values of `user_float[0]` of spokes, 16 at most."""


def count_readouts(source: ScanSource) -> ReadoutCount:
    """Read a whole scan and count what its readouts are. Raises ScanError for a scan that cannot be read."""
    count, last = ReadoutCount(), None
    for readout in source:
        count.readouts += 1
        if readout.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
            count.noise += 1
        elif not is_imaging(readout):
            count.other[readout.flags] += 1
        else:
            number = int(readout.idx.slice)
            count.runs += number != last
            last = number
            count.spokes[number] += 1
            count.encodings[int(readout.encoding_space_ref)] += 1
            count.shapes[readout.data.shape] += 1
            count.discards[int(readout.discard_pre), int(readout.discard_post)] += 1
            count.centers[int(readout.center_sample)] += 1
            count.dwells_us[float(np.float32(readout.sample_time_us))] += 1
            count.dimensions[int(readout.trajectory_dimensions)] += 1
            if len(count.angles) < 16:
                count.angles.add(float(readout.user_float[0]))
    return count


@dataclass(frozen=True)
class FirstSlice:
    """A source that ends where the second slice of another source begins."""

    source: ScanSource
    n_acquisitions: int | None = None

    @property
    def xml(self) -> str:
        """The ISMRMRD header."""
        return self.source.xml

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        """The acquisitions before the first spoke of the second slice."""
        first = None
        for readout in self.source:
            if is_imaging(readout):
                first = int(readout.idx.slice) if first is None else first
                if int(readout.idx.slice) != first:
                    return
            yield readout
