"""Conjugation: undoes that a converter stored the complex conjugate of the samples."""

from collections.abc import Iterator

import ismrmrd

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["Conjugation"]


class Conjugation(Gadget[ismrmrd.Acquisition, ismrmrd.Acquisition]):
    """Conjugates the samples of all readouts, those of noise too.

    Args:
        scan: the scan.

    """

    accepts = (ismrmrd.Acquisition,)

    def __init__(self, scan: ScanContext) -> None:
        scan.provenance["conjugation"] = "samples conjugated, as set"

    def feed(self, message: ismrmrd.Acquisition, /) -> Iterator[ismrmrd.Acquisition]:
        """Conjugate a readout."""
        yield ismrmrd.Acquisition(message.getHead(), message.data.conj(), message.traj)
