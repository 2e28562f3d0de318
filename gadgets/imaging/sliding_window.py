"""The settings of a sliding window, which pipelines and training sets share."""

from typing import Any

from spokestream.gadgets.scan.header_sequence import LONGEST_TRAIN
from spokestream.settings import setting

__all__ = ["stride_setting", "window_setting"]


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
