"""The times at which a client must have sent something."""

import time

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.server_settings import ServerSettings

__all__ = ["RATE_AFTER_S", "Deadlines"]

RATE_AFTER_S = 30.0
"""Time that a part of a message may take before the rate of its bytes is looked at; networks pause for some seconds."""


class Deadlines:
    """The deadlines of one client: its first byte, configuration and header, silence, and the rate within a message."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._start = time.monotonic()
        self._heard = False
        self._message = 0
        self._waited_s = 0.0
        """Time of waiting for the bytes of the current message, without the time in which the node did not read."""
        self._n_bytes = 0

    def next(self, state: wire.State) -> tuple[float, str]:
        """The seconds until the deadline that comes first, and the sentence for a client that misses it."""
        s, since = self._settings, time.monotonic() - self._start
        found = [(s.idle_timeout_s, f"The client was silent for {s.idle_timeout_s:g} s.")]
        if not self._heard:
            found.append((s.first_byte_s - since, f"The client sent nothing in {s.first_byte_s:g} s."))
        if state in (wire.State.EXPECT_CONFIG, wire.State.EXPECT_HEADER):
            sentence = f"The client did not send configuration and header within {s.opening_s:g} s."
            found.append((s.opening_s - since, sentence))
        seconds, sentence = min(found)
        return max(seconds, 0.0), sentence

    def received(self, n_bytes: int, waited_s: float, message: int) -> None:
        """Note bytes that have come, and the index of the message to which the next byte belongs.

        Raises ScanError if the current message comes too slowly.
        """
        self._heard = True
        if message != self._message:
            self._message, self._waited_s, self._n_bytes = message, 0.0, 0
            return
        self._waited_s += waited_s
        self._n_bytes += n_bytes
        if self._waited_s > RATE_AFTER_S and self._n_bytes < self._settings.min_rate * self._waited_s:
            raise ScanError(
                f"The client sent {self._n_bytes} bytes of a message in {self._waited_s:.0f} s, less than "
                f"{self._settings.min_rate:g} bytes/s."
            )
