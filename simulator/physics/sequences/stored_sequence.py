"""A sequence inside an HDF5 file, stored with the data that were computed for it."""

from typing import Any

from spokestream.simulator.physics.sequences.pulse_sequence import SCALARS, TRAINS, PulseSequence

__all__ = ["read_sequence", "write_sequence"]

ATTRIBUTES: dict[str, type] = {"name": str, **SCALARS}


def write_sequence(file: Any, sequence: PulseSequence) -> None:
    """Write the group `sequence` of an open HDF5 file: trains as datasets (spokes,), other fields as attributes."""
    group = file.create_group("sequence")
    for name in TRAINS:
        group[name] = getattr(sequence, name)
    for name in ATTRIBUTES:
        group.attrs[name] = getattr(sequence, name)


def read_sequence(file: Any) -> PulseSequence:
    """Read what `write_sequence` wrote.

    Raises KeyError, TypeError or ValueError for missing or invalid fields, and InputError for an impossible sequence.
    The caller adds the name of the file.
    """
    group = file["sequence"]
    fields: dict[str, Any] = {name: kind(group.attrs[name]) for name, kind in ATTRIBUTES.items()}
    return PulseSequence(**fields, **{name: group[name][()] for name in TRAINS})
