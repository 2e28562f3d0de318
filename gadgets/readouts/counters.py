"""The encoding counters of a readout, and what each of them means for the reconstruction."""

import ismrmrd

from spokestream.errors import ScanError

__all__ = ["COUNTERS", "DISTINGUISHING", "difference", "distinguishing", "refuse_partition"]

COUNTERS = {
    "kspace_encode_step_1": "index of the spoke in the train",
    "kspace_encode_step_2": "partition of a 3-D scan: refused unless it is 0",
    "slice": "number of the slice",
    "average": "one of them; a second one of a spoke is refused",
    "contrast": "one of them; a second one of a spoke is refused",
    "phase": "one of them; a second one of a spoke is refused",
    "repetition": "one of them; a second one of a spoke is refused",
    "set": "one of them; a second one of a spoke is refused",
    "segment": "ignored",
    "user": "ignored",
}
"""All counters, and what is done with them. A scan may count its echo times as contrasts, because then no spoke comes
twice. A second measurement of a slice that is complete enough is left out with a warning."""
DISTINGUISHING = tuple(name for name, effect in COUNTERS.items() if effect.startswith("one of them"))
"""Counters that make two readouts of the same spoke two measurements, which must not be mixed."""


def distinguishing(readout: ismrmrd.Acquisition) -> tuple[int, ...]:
    """The counters of a readout by which two readouts of one spoke differ."""
    counters = readout.idx
    return counters.average, counters.contrast, counters.phase, counters.repetition, counters.set


def difference(first: tuple[int, ...], second: tuple[int, ...]) -> str:
    """The counters in which two readouts differ, as text: "repetition 0 and 1"; empty if there are none."""
    pairs = zip(DISTINGUISHING, first, second, strict=True)
    return ", ".join(f"{name} {a} and {b}" for name, a, b in pairs if a != b)


def refuse_partition(readout: ismrmrd.Acquisition) -> None:
    """Raise ScanError for a readout of a 3-D scan."""
    if partition := int(readout.idx.kspace_encode_step_2):
        raise ScanError(
            f"A readout belongs to partition {partition} of a 3-D scan (kspace_encode_step_2); "
            "this node reconstructs 2-D slices."
        )
