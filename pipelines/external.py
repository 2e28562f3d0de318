"""A pipeline as a Gadgetron external module.

`<execute name="spokestream.pipelines.external" target="mrf_t1ff" type="python"/>`

Gadgetron starts `python -m gadgetron PORT spokestream.pipelines.external mrf_t1ff`. The `gadgetron` package connects
and reads configuration and header. Then this module uses the socket directly, because the package waits for ever if
Gadgetron has ended, and reports a crash as success.
"""

import logging
import socket
from collections.abc import Iterator
from typing import Any

from spokestream.errors import SpokestreamError
from spokestream.pipelines import wire
from spokestream.pipelines.gadgetron_texts import configuration, for_gadgetron, printable, printable_record
from spokestream.pipelines.run_chain import run_chain

__all__ = ["auto", "mrf_t1ff", "mrf_t1ff_net", "mrf_t1t2", "mrf_t1t2_net", "reconstruct_for_gadgetron"]

READ_BYTES = 1 << 18
DRAIN_S = 30.0
"""The module ends if Gadgetron sends nothing for this time after the module's last message."""
LOG = logging.getLogger("spokestream.external")


LOG.addFilter(printable_record)


def auto(connection: Any) -> None:
    """Reconstruct the scan of a `gadgetron.external.Connection` by the pipeline that its sequence needs."""
    _run(connection, "auto")


def mrf_t1ff(connection: Any) -> None:
    """Reconstruct the scan of a `gadgetron.external.Connection` by dictionary matching."""
    _run(connection, "mrf_t1ff")


def mrf_t1ff_net(connection: Any) -> None:
    """Reconstruct the scan of a `gadgetron.external.Connection` by a network."""
    _run(connection, "mrf_t1ff_net")


def mrf_t1t2(connection: Any) -> None:
    """T1 and T2 by dictionary matching, of gradient-spoiled trains."""
    _run(connection, "mrf_t1t2")


def mrf_t1t2_net(connection: Any) -> None:
    """T1 and T2 by a network, of gradient-spoiled trains."""
    _run(connection, "mrf_t1t2_net")


def _run(connection: Any, pipeline: str) -> None:
    sock = connection.socket.socket
    reconstruct_for_gadgetron(sock, connection.raw_bytes.config, connection.raw_bytes.header, pipeline)
    # otherwise the package would send CLOSE a second time, when nobody reads any more
    connection.socket.close = sock.close


def reconstruct_for_gadgetron(sock: socket.socket, config: bytes, header: bytes, pipeline: str) -> None:
    """Reconstruct the scan that Gadgetron sends after configuration and header.

    All messages from the chain are sent to Gadgetron. Errors are sent to it as well, and are not raised. Warnings are
    only written to the log, because a TEXT message would end the session with an error.
    """
    gadgetron = _Gadgetron(sock)
    try:
        try:
            from spokestream.pipelines import selection  # here, so that a broken installation is told as well

            config_text, header_xml = gadgetron.introduction(config, header)
            selected = for_gadgetron(selection.select(config_text, default=pipeline))
            chain = selection.start_scan(selected, header_xml, LOG)
            for item in run_chain(chain, gadgetron.items()):
                gadgetron.send(wire.Data(item))
        except SpokestreamError as error:
            gadgetron.send(wire.ErrorText(printable(str(error))))
            LOG.error("%s", error)
        except ConnectionError:
            raise
        except Exception as error:
            sentence = f"This is a defect of the node, please report it ({type(error).__name__}: {error})."
            gadgetron.send(wire.ErrorText(printable(sentence)))
            LOG.exception("A defect.")
        gadgetron.send(wire.Close())
        gadgetron.drain()
    except ConnectionError as error:
        LOG.error("Gadgetron is gone (%s).", error)


class _Gadgetron:
    """The parent process, at the other end of the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._wire = wire.Connection(wire.Role.CHILD)

    def introduction(self, config: bytes, header: bytes) -> tuple[str, str]:
        """Feed the messages that the `gadgetron` package has read already, so that the connection has the right state.

        Returns the text of the configuration and the header. Gadgetron sends a bare XML declaration if its own
        configuration has no `<configuration>` for the module; this text is empty.
        """
        parent = wire.Connection(wire.Role.PARENT)
        config_event, header_event = wire.ConfigText(_text(config)), wire.Header(_text(header))
        for event in (config_event, header_event):
            self._wire.receive_data(b"".join(parent.send(event)))
        return configuration(config_event.text), header_event.xml

    def items(self) -> Iterator[Any]:
        """The items of the scan, until Gadgetron sends CLOSE."""
        while self._wire.their_state is wire.State.STREAMING:
            for event in self._wire.receive_data(self._sock.recv(READ_BYTES)):
                if isinstance(event, wire.Data):
                    yield event.item

    def send(self, event: wire.Event) -> None:
        for part in self._wire.send(event):
            self._sock.sendall(part)

    def drain(self) -> None:
        """Read until Gadgetron has sent everything: it does not read our error while it is still writing."""
        self._sock.settimeout(DRAIN_S)
        try:
            while self._wire.their_state is not wire.State.CLOSED and (data := self._sock.recv(READ_BYTES)):
                if self._wire.their_state is wire.State.STREAMING:
                    self._wire.receive_data(data)
        except wire.RemoteProtocolError:
            self.drain()
        except TimeoutError:
            LOG.error("Gadgetron did not close the connection.")


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")
