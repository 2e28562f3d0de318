"""The context of a scan, with which every gadget is built: header, sequence, threads, log, provenance and ledger."""

import logging
from dataclasses import dataclass, field

from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.gadgets.scan.main_field import main_field
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["ScanContext"]


@dataclass
class ScanContext:
    """The context of one scan. It exists before the first spoke; gadgets add provenance and counts to it."""

    header: ScanHeader
    sequence: PulseSequence
    threads: int = 2
    """CPU threads for the computations of a gadget."""
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("spokestream"))
    """The log of the scan. Its warnings are also sent to the client as TEXT."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Sources of trajectory, noise, dictionary, ...: gadgets add them, and they are in the metadata of every image."""
    integrity: IntegrityLedger = field(default_factory=IntegrityLedger)
    """Counts of irregularities in every slice; every gadget may add to them."""
    cancellation: Cancellation = field(default_factory=Cancellation)
    """The sign to stop. Long computations look at it between their pieces."""
    device: str = "cpu"
    """Where long computations at the end of a slice run, `cpu` or `cuda`."""

    @property
    def field_t(self) -> float:
        """Main field in tesla; see `main_field`."""
        return main_field(self.header).tesla
