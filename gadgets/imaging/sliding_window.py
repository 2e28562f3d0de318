"""The settings of a sliding window, which pipelines and training sets share."""

from collections.abc import Collection
from typing import Any

from spokestream.errors import InputError
from spokestream.gadgets.scan.header_sequence import LONGEST_TRAIN
from spokestream.settings import setting

__all__ = ["check_basis_of_window", "stride_setting", "window_setting"]


def window_setting() -> Any:
    """The field for the length of the window."""
    return setting(48, meaning="Readouts of a sliding window.", unit="readouts", low=1, high=LONGEST_TRAIN, peer=True)


def stride_setting() -> Any:
    """The field for the distance between the positions of the window."""
    return setting(
        24,
        meaning="Readouts from one position of the sliding window to the next.",
        unit="readouts",
        low=1,
        high=LONGEST_TRAIN,
        peer=True,
    )


def check_basis_of_window(basis: str, given: Collection[str]) -> None:
    """Raise InputError if settings of the window are among those that were given, but images are not its means."""
    idle = [name for name in ("stride", "window") if name in given]
    if idle and basis != "window":
        words = " and ".join(idle)
        raise InputError(
            f"The setting{'s' if idle[1:] else ''} {words} change{'' if idle[1:] else 's'} nothing with basis={basis}; "
            f"leave out {words}, or take basis=window."
        )
