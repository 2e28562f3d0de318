"""What every gadget is built with: the header, the sequence, where to compute, and where to write what was found."""

import logging
from dataclasses import dataclass, field

from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.simulator.physics.fat_spectrum import REFERENCE_FIELD_T
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["ScanContext"]


@dataclass
class ScanContext:
    """One scan, before its first spoke."""

    header: ScanHeader
    sequence: PulseSequence
    threads: int = 2
    """CPU threads for one gadget's computation."""
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("spokestream"))
    """Warnings that are logged here also reach the client as TEXT."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Where trajectory, noise, ... came from; gadgets fill it in, and the metadata of every image keep it."""
    integrity: IntegrityLedger = field(default_factory=IntegrityLedger)
    """Counts of what is wrong, slice by slice; any gadget may add to it."""

    @property
    def field_t(self) -> float:
        """Main field in tesla; where the header is silent, the field for which fat is tabulated."""
        return self.header.field_strength_t or REFERENCE_FIELD_T
