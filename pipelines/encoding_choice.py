"""The chain of a scan whose header has several encodings: it is built when the first spoke names its encoding."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import ismrmrd

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.messages import LeftOut
from spokestream.gadgets.readouts.flags import is_imaging

__all__ = ["MOST_WAITING_BYTES", "ChainOfFirstEncoding"]

MOST_WAITING_BYTES = 64 << 20
"""Largest size of the messages before the first spoke: 2,000 noise readouts of 32 channels and 128 samples."""
ENTRY_BYTES = 1024
"""Size of a message in Python without its samples."""


class ChainOfFirstEncoding(Chain):
    """Builds the chain for the encoding of the first spoke, and leaves out spokes of other encodings with a warning.

    Messages that come before the first spoke, for instance noise, wait for the chain. Readouts that are no spokes are
    passed to the chain whatever their encoding.

    Args:
        build: the chain of an encoding, given its index in the header.
        log: the log of the scan.

    """

    def __init__(self, build: Callable[[int], Chain], log: logging.Logger) -> None:
        super().__init__(())
        self._build = build
        self._log = log
        self._encoding: int | None = None
        self._chain: Chain | None = None
        self._waiting: list[object] = []
        self._waiting_bytes = 0
        self._left_out = 0

    def feed(self, message: object, /) -> Iterator[Any]:
        """Feed the chain, which is built with the first spoke. Raises ScanError if too much came before that spoke."""
        self._cancellation.check()
        spoke = isinstance(message, ismrmrd.Acquisition) and is_imaging(message)
        if spoke:
            encoding = int(message.encoding_space_ref)  # type: ignore[attr-defined]
            if self._encoding is None:
                self._encoding, self._chain = encoding, self._build(encoding)
                self._closing.callback(self._chain.close)
                self._log.info("The spokes belong to encoding %d of the header.", encoding + 1)
                for waiting in self._waiting:
                    yield from self._chain.feed(waiting)
                self._waiting.clear()
            elif encoding != self._encoding:
                self._left_out += 1
                assert self._chain is not None
                yield from self._chain.feed(LeftOut(int(message.scan_counter)))  # type: ignore[attr-defined]
                return
        if self._chain is None:
            self._waiting_bytes += ENTRY_BYTES + getattr(getattr(message, "data", None), "nbytes", 0)
            if self._waiting_bytes > MOST_WAITING_BYTES:
                raise ScanError(
                    f"More than {MOST_WAITING_BYTES >> 20} MiB came before the first spoke, which says to which of the "
                    "header's encodings the scan belongs."
                )
            self._waiting.append(message)
        else:
            yield from self._chain.feed(message)

    def cancel(self) -> None:
        """Make the chain stop soon, too, if it has been built."""
        super().cancel()
        if self._chain is not None:
            self._chain.cancel()

    def finish(self) -> Iterator[Any]:
        """Finish the chain. Raises ScanError if there was no spoke."""
        if self._chain is None or self._encoding is None:
            raise ScanError("The scan held no spokes.")
        if self._left_out:
            self._log.warning(
                "%d readouts of other encodings than encoding %d were left out.", self._left_out, self._encoding + 1
            )
        yield from self._chain.finish()
