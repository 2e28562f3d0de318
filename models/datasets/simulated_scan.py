"""The context in which a gadget runs on slices that came from no scanner."""

import logging

from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["simulated_scan"]


def simulated_scan(sequence: PulseSequence, threads: int) -> ScanContext:
    """The context of simulated slices of a sequence. Its warnings go nowhere."""
    header = ScanHeader("", (1, 1, 1), (1.0, 1.0, 1.0), (1, 1, 1), (1.0, 1.0, 1.0))
    return ScanContext(header, sequence, threads, logging.Logger("simulated", logging.ERROR))
