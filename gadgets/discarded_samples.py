"""Discarded samples: the samples that a scanner marks as useless are cut off before anything else uses them."""

from collections.abc import Iterator

import ismrmrd
import numpy as np

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["DiscardedSamples"]


class DiscardedSamples(Gadget[ismrmrd.Acquisition, ismrmrd.Acquisition]):
    """Cuts off the first `discard_pre` and the last `discard_post` samples of all readouts, and their trajectory.

    `center_sample` counts from the first sample before the cut. Readouts that have nothing to discard are passed on
    unchanged. If all samples are discarded, the readout has none, and `Readout` counts it as damaged.

    Args:
        scan: the scan.

    """

    accepts = (ismrmrd.Acquisition,)

    def __init__(self, scan: ScanContext) -> None:
        self._scan = scan

    def feed(self, message: ismrmrd.Acquisition, /) -> Iterator[ismrmrd.Acquisition]:
        """Cut one readout."""
        before, after = int(message.discard_pre), int(message.discard_post)
        if not before and not after:
            yield message
            return
        kept = slice(before, max(before, message.data.shape[1] - after))
        data, k = np.ascontiguousarray(message.data[:, kept]), np.ascontiguousarray(message.traj[kept])
        head = message.getHead()
        head.number_of_samples, head.discard_pre, head.discard_post = data.shape[1], 0, 0
        head.center_sample = max(0, int(message.center_sample) - before)
        if "discarded_samples" not in self._scan.provenance:
            self._scan.provenance["discarded_samples"] = f"{before} before, {after} after"
            self._scan.log.info("Readouts discard %d samples before and %d after their data.", before, after)
        yield ismrmrd.Acquisition(head, data, k)
