"""Spokes become temporal frames; a frame is passed on as soon as its last spoke has come."""

from collections.abc import Iterator

import numpy as np

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import SliceEnd, Spoke, SpokeBlock
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["SpokeAccumulation"]


class SpokeAccumulation(Gadget[Spoke | SliceEnd, SpokeBlock | SliceEnd]):
    """Stacks the spokes of each frame in the order of the train, in whatever order they come.

    Incomplete frames are passed on at the end of the slice. Frames without any spoke are not passed on.
    """

    accepts = (Spoke, SliceEnd)

    def __init__(self, scan: ScanContext) -> None:
        self._per_frame = scan.sequence.spokes_per_frame
        self._n_spokes = len(scan.sequence)
        self._open: dict[int, list[Spoke]] = {}

    def feed(self, message: Spoke | SliceEnd, /) -> Iterator[SpokeBlock | SliceEnd]:
        """Add a spoke to its frame."""
        if isinstance(message, SliceEnd):
            for frame in sorted(self._open):
                yield self._block(frame)
            yield message
            return
        frame = message.index // self._per_frame
        spokes = self._open.setdefault(frame, [])
        spokes.append(message)
        if len(spokes) == self._full(frame):
            yield self._block(frame)

    def _full(self, frame: int) -> int:
        return min(self._per_frame, self._n_spokes - frame * self._per_frame)

    def _block(self, frame: int) -> SpokeBlock:
        spokes = sorted(self._open.pop(frame), key=lambda spoke: spoke.index)
        densities = [spoke.density for spoke in spokes if spoke.density is not None]
        times = [spoke.time_us for spoke in spokes if spoke.time_us is not None]
        return SpokeBlock(
            data=np.stack([spoke.data for spoke in spokes], axis=1),
            k=np.stack([spoke.k for spoke in spokes]),
            indices=np.array([spoke.index for spoke in spokes]),
            frame=frame,
            slice=spokes[0].slice,
            missing=self._full(frame) - len(spokes),
            density=np.stack(densities) / np.float32(len(spokes)) if densities else None,
            geometry=spokes[0].geometry,
            time_us=np.stack(times) if len(times) == len(spokes) else None,
        )
