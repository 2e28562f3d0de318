"""A stream of messages in a pipe or a file: HEADER, then acquisitions, waveforms, images and texts, then CLOSE."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, BinaryIO, Self

from spokestream.errors import SpokestreamError
from spokestream.pipelines import wire

__all__ = ["MessageStream", "write_stream"]


class MessageStream:
    """Writes a stream, each message as soon as it is there.

    It ends with CLOSE in any case. If the work fails, a TEXT `ERROR ...` with the reason precedes it, as the node
    sends it to a client.

    Args:
        pipe: where to write.
        header_xml: the ISMRMRD header of the scan.

    """

    def __init__(self, pipe: BinaryIO, header_xml: str) -> None:
        self._pipe = pipe
        self._connection = wire.Connection(wire.Role.CLIENT)
        self._connection.send(wire.ConfigFile(""))  # the protocol wants a configuration first; streams have none
        self._send(wire.Header(header_xml))

    def write(self, item: Any) -> None:
        """Write an acquisition, a waveform or an image."""
        self._send(wire.Data(item))

    def text(self, text: str) -> None:
        """Write a text."""
        self._send(wire.Text(text))

    def pass_on(self, event: wire.Event) -> None:
        """Write an image or a text that a server has sent. An error of the server is left to the end of the stream."""
        if isinstance(event, wire.Data) or (isinstance(event, wire.Text) and not event.text.startswith("ERROR")):
            self._send(event)

    def warning(self, sentence: str) -> None:
        """Write a warning as the node sends it to a client."""
        self.text(f"WARNING {sentence}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, BrokenPipeError):
            return
        if error is not None:
            self.text(f"ERROR {error if isinstance(error, SpokestreamError) else 'The work was not finished.'}\n")
        self._send(wire.Close())

    def _send(self, event: wire.Event) -> None:
        for part in self._connection.send(event):
            self._pipe.write(part)
        self._pipe.flush()


def write_stream(pipe: BinaryIO, header_xml: str, items: Iterable[Any]) -> None:
    """Write a whole stream: the header and all items."""
    with MessageStream(pipe, header_xml) as stream:
        for item in items:
            stream.write(item)
