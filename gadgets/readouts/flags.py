"""The flags of readouts, and what each of them means for the reconstruction."""

from collections import Counter
from enum import Enum

import ismrmrd

__all__ = [
    "ENDS_SLICE", "FLAGS", "REVERSED", "UNKNOWN", "FlagEffect", "is_imaging", "names_of", "rejecting_flags",
]  # fmt: skip


class FlagEffect(Enum):
    """What the reconstruction does with a readout that has a flag."""

    NOTHING = "ignored"
    NOISE = "used as a measurement of noise"
    LEFT_OUT = "left out"
    ENDS_SLICE = "ends the slice"
    REVERSED = "reverses a spoke without embedded trajectory"
    WARNS = "ignored with a warning"
    DECODED = "decoded when it is received, or refused there"


_EFFECTS = {
    "ACQ_IS_NOISE_MEASUREMENT": FlagEffect.NOISE,
    "ACQ_IS_PARALLEL_CALIBRATION": FlagEffect.LEFT_OUT,
    "ACQ_IS_NAVIGATION_DATA": FlagEffect.LEFT_OUT,
    "ACQ_IS_PHASECORR_DATA": FlagEffect.LEFT_OUT,
    "ACQ_IS_HPFEEDBACK_DATA": FlagEffect.LEFT_OUT,
    "ACQ_IS_DUMMYSCAN_DATA": FlagEffect.LEFT_OUT,
    "ACQ_IS_RTFEEDBACK_DATA": FlagEffect.LEFT_OUT,
    "ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA": FlagEffect.LEFT_OUT,
    "ACQ_IS_PHASE_STABILIZATION_REFERENCE": FlagEffect.LEFT_OUT,
    "ACQ_IS_PHASE_STABILIZATION": FlagEffect.LEFT_OUT,
    "ACQ_LAST_IN_SLICE": FlagEffect.ENDS_SLICE,
    "ACQ_LAST_IN_MEASUREMENT": FlagEffect.ENDS_SLICE,
    "ACQ_IS_REVERSE": FlagEffect.REVERSED,
    "ACQ_COMPRESSION1": FlagEffect.DECODED,
    "ACQ_COMPRESSION2": FlagEffect.DECODED,
    "ACQ_COMPRESSION3": FlagEffect.DECODED,
    "ACQ_COMPRESSION4": FlagEffect.DECODED,
}
_NAMES = {getattr(ismrmrd, name): name for name in dir(ismrmrd) if name.startswith("ACQ_")}

FLAGS: dict[int, tuple[str, FlagEffect]] = {
    number: (_NAMES[number], _EFFECTS.get(_NAMES[number], FlagEffect.NOTHING))
    if number in _NAMES
    else (f"flag {number}", FlagEffect.WARNS)
    for number in range(1, 65)
}
"""All 64 flags: number -> name and effect. ISMRMRD gives no meaning to the flags that have only a number."""


def _mask(*effects: FlagEffect) -> int:
    return sum(1 << (number - 1) for number, (_, effect) in FLAGS.items() if effect in effects)


NOT_IMAGING = _mask(FlagEffect.NOISE, FlagEffect.LEFT_OUT)
UNKNOWN = _mask(FlagEffect.WARNS)
ENDS_SLICE = _mask(FlagEffect.ENDS_SLICE)
REVERSED = _mask(FlagEffect.REVERSED)


def is_imaging(readout: ismrmrd.Acquisition) -> bool:
    """Whether the readout is a spoke of the image: no flag marks it as anything else."""
    return not readout.flags & NOT_IMAGING


def names_of(flags: int) -> list[str]:
    """The names of the flags that are set."""
    return [name for number, (name, _) in FLAGS.items() if flags >> (number - 1) & 1]


def rejecting_flags(left_out: Counter[int]) -> str:
    """The readouts that were left out by their flags, as text: "3 ACQ_IS_PHASECORR_DATA, 1 ACQ_IS_DUMMYSCAN_DATA".

    Args:
        left_out: flags -> number of readouts with them.

    """
    counts = Counter[str]()
    for flags, n in left_out.items():
        counts.update(dict.fromkeys(names_of(flags & NOT_IMAGING), n))
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())
