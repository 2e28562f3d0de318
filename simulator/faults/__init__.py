"""Faults of scanners, converters and people, put into simulated scans to see what a reconstruction says of them."""

from spokestream.simulator.faults import headers, readouts, receivers
from spokestream.simulator.faults.fault import Fault
from spokestream.simulator.faults.recorded import RecordedReadouts

__all__ = ["FAULTS", "Fault", "RecordedReadouts"]

FAULTS: dict[str, Fault] = {fault.name: fault for fault in (*readouts.FAULTS, *headers.FAULTS, *receivers.FAULTS)}
"""All faults by name."""
