"""A sign that nobody waits for a scan any more, which computations look at between their pieces."""

__all__ = ["Cancellation", "CancelledScanError"]


class CancelledScanError(Exception):
    """Raised in a computation of a scan that nobody waits for any more. It is no error that people are told about."""


class Cancellation:
    """The sign of one scan. Any thread may set it, and it is never taken back."""

    def __init__(self) -> None:
        self._cancelled = False

    def cancel(self) -> None:
        """Make the computations of the scan stop before their next piece."""
        self._cancelled = True

    def check(self) -> None:
        """Raise CancelledScanError if the scan was cancelled."""
        if self._cancelled:
            raise CancelledScanError
