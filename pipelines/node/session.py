"""The session of one client, from its first byte to its last. Every error is sent to it as one sentence."""

import asyncio
import logging
import secrets
from functools import partial
from textwrap import shorten
from traceback import format_exception
from typing import Any

import ismrmrd

from spokestream.errors import ScanError, SpokestreamError
from spokestream.gadgets.readouts.flags import ENDS_SLICE
from spokestream.gadgets.stored_maps.provisional import is_provisional
from spokestream.pipelines import wire
from spokestream.pipelines.node.byte_stream import ByteStream
from spokestream.pipelines.node.channel import Channel
from spokestream.pipelines.node.client_texts import PARAMETERS, Parameters, answer, chain_log
from spokestream.pipelines.node.events import (
    ImageSent,
    Outcome,
    ReadoutsReceived,
    ScanAdmitted,
    ScanEnded,
    ScanWarned,
)
from spokestream.pipelines.node.memory.admission import Admission
from spokestream.pipelines.node.plain_text import escape_record, escaped
from spokestream.pipelines.node.released import released
from spokestream.pipelines.node.session_rules import PipelineSelection, SessionRules
from spokestream.pipelines.node.workers.worker import Worker

__all__ = ["Session"]

LOG = logging.getLogger("spokestream.server")
LONGEST_SENTENCE = 1000
LONGEST_NAME = 64
MOST_EVENTS = 1000
"""Messages of a client that are read before others are served."""
UNPLANNED_BYTES, UNSENT_BYTES = 1 << 20, 1 << 26
"""Bytes that may be unsent before the memory of a scan is reserved, and then: the maps of six slices of 350 pixels."""


class Session:
    """Reads the messages of one client, has a worker reconstruct its scan, and sends the images."""

    def __init__(self, stream: ByteStream, rules: SessionRules) -> None:
        self.id = secrets.token_hex(4)
        self.readouts = 0
        # not from getLogger, which keeps every logger for ever
        self.log = logging.Logger(f"{LOG.name}.{self.id}")
        self.log.parent = LOG
        self.log.addFilter(escape_record)
        settings = rules.settings
        connection = wire.Connection(rules.dialect.role, rules.limits, decodes=False, most_events=MOST_EVENTS)
        self._channel = Channel(stream, connection, rules.recordings, self.id, settings, self.log)
        self._channel.allow_unsent(UNPLANNED_BYTES)
        self._admission: Admission | None = None
        self._rules = rules
        self._asked: str | None = None
        """The configuration that the client asked for, which may be empty; None if it asks for no scan, or no more."""
        self._selection: PipelineSelection | None = None
        self._parameters = Parameters()
        self._header: str | None = None
        self._worker: Worker | None = None
        self._holds_slot = self._says_goodbye = False
        self._mute = rules.dialect.mute
        """Whether the client fails if it receives any text, so that none may be sent."""
        self._warned_of_late_parameters = self._warned_of_recording = False
        self._images, self._begin = 0, asyncio.get_running_loop().time()
        self._last_readout = self._last_image = 0.0

    @property
    def unfinished(self) -> bool:
        """Whether a scan is being reconstructed, or its last images are being sent. Queries need no scan."""
        return self._holds_slot or self._says_goodbye

    @property
    def queued_bytes(self) -> int:
        """Bytes of readouts that wait to be reconstructed."""
        return self._worker.held if self._worker else 0

    def abort(self) -> None:
        """Close the connection without a word."""
        self._channel.abort()

    async def run(self) -> None:
        """Serve the client to the end. The only error that it may raise is CancelledError, at the very end."""
        try:
            await self._converse()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  a defect ends one session only
            await self._conclude(error)
            released(error)
        finally:
            try:
                await self._release()
            finally:
                await self._channel.close()

    async def _conclude(self, error: BaseException) -> None:
        """End a session that an error has stopped."""
        self._says_goodbye = False
        match error:
            case SpokestreamError():
                await self._fail(str(error))
            case ConnectionError():
                self.log.error("Session %s: the client vanished after %d readouts (%s).", self.id, self.readouts, error)
                self._ended("failed", f"The client vanished after {self.readouts} readouts.")
            case asyncio.CancelledError() if self._channel.wire.our_state is not wire.State.CLOSED:
                await self._fail("The node was stopped before the scan was finished.", "stopped", drain_s=0)
            case asyncio.CancelledError():
                self._ended("stopped", "The node was stopped before the client had read its images.")
            case _:
                # as text, because a log record that holds the error would hold the scan's arrays, too
                lines = "".join(format_exception(error)).splitlines()
                LOG.error("Session %s: a defect.\n%s", self.id, "\n".join(map(escaped, lines)))
                await self._fail(f"This is a defect of the node, please report it ({type(error).__name__}: {error}).")

    async def _converse(self) -> None:
        first: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._watch())
                while not await self._listen(tasks):
                    pass
                if self._worker:
                    await self._worker.wait()
                watch.cancel()
        except ExceptionGroup as group:
            # the first error, in the reading or in the worker, has cancelled the other one
            first = released(group).exceptions[0]
        del tasks, watch
        if first is not None:
            try:
                raise first
            finally:
                del first
        self._says_goodbye = self._header is not None
        await self._release()  # before CLOSE, so that a client that waited for it can start a scan at once
        await self._channel.send(wire.Close())
        await self._channel.flush()
        self._says_goodbye = False
        if self._header is not None:
            self._ended("finished")
        else:
            self._channel.forget_recording()  # of a session without a scan, for instance of a query

    async def _watch(self) -> None:
        """End the session if its client vanishes, even if its bytes are not read, or if it lasts too long."""
        limit = self._rules.settings.session_s
        try:
            async with asyncio.timeout(limit):
                await self._channel.gone()
        except TimeoutError:
            raise ScanError(f"The session lasted longer than {limit:g} s.") from None
        raise ConnectionResetError("the connection is closed")

    async def _listen(self, tasks: asyncio.TaskGroup) -> bool:
        """Handle the next events; returns whether CLOSE was one of them."""
        parts: list[Any] = []  # of messages, for one write to the worker
        for event in await self._channel.receive():
            match event:
                case wire.ConfigFile(config) | wire.ConfigText(config):
                    self._configure(config)
                case wire.Header(xml):
                    self._admit()
                    await self._rules.scans.acquire()
                    self._holds_slot = True
                    self._header = xml
                    self._warn_if_unrecorded()
                    self._rules.tell(ScanAdmitted(self.id, self._pipeline, xml))
                case wire.Text(text):
                    self._read_text(text)
                case wire.Query(correlation_id, text):
                    await self._channel.send(wire.Response(correlation_id, answer(text)))
                    await asyncio.sleep(0)  # thousands of queries may come at once, and others wait
                case wire.Undecoded(ismrmrd.ImageHeader()):
                    pass  # a chain would pass it on, back to the client
                case wire.Undecoded(header, message):
                    worker = self._worker or await self._start(tasks, header)
                    assert self._admission is not None
                    await self._admission.accept(header)
                    worker.see(header)
                    parts += message
                    self._last_readout = asyncio.get_running_loop().time()
                    self.readouts += isinstance(header, ismrmrd.AcquisitionHeader)
                    if isinstance(header, ismrmrd.AcquisitionHeader) and header.flags & ENDS_SLICE:
                        await self._pass_on(parts)
                        await self._channel.sync_recording()
                        self._warn_if_unrecorded()
        await self._pass_on(parts)
        if self.readouts:
            self._rules.tell(ReadoutsReceived(self.id, self.readouts))
        if self._channel.said_close and self._header is not None:
            (self._worker or await self._start(tasks, None)).end()
        return self._channel.said_close

    async def _pass_on(self, parts: list[Any]) -> None:
        """Give the parts of messages to the worker, and forget them."""
        if self._worker and parts:
            await self._worker.put(b"".join(parts))
            parts.clear()

    def _configure(self, config: str) -> None:
        # Gadgetron's client asks for noise data on a separate connection, and fails on any answer except CLOSE;
        # its program gt_alive sends a configuration for which nothing has to be done
        asks_for_noise = "NoiseSummaryGadget" in config
        self._mute |= asks_for_noise
        if not asks_for_noise and config != "isalive.xml":
            self._asked = config
            self._selection = self._rules.select(config)

    def _admit(self) -> None:
        """Raise ScanError if no scan can be taken now."""
        if self._selection is None:
            raise ScanError("This configuration reconstructs nothing, so that no header can follow it.")
        if self._rules.scans.locked():
            n = self._rules.settings.max_sessions
            raise ScanError(f"The node is busy with {n} scans; try again when one has finished.")

    def _read_text(self, text: str) -> None:
        if PARAMETERS not in text:
            self.log.debug("Session %s: text from the client: %s", self.id, text)
        elif not self._worker:
            self._parameters.add(text)
        elif not self._warned_of_late_parameters:  # once, because a client that does not read lets texts pile up
            self._warn("Parameters came after the first readout and were ignored.")
            self._warned_of_late_parameters = True

    async def _start(self, tasks: asyncio.TaskGroup, item: Any) -> Worker:
        """Reserve memory and start the worker.

        That is done with the first item, not with the header, because parameters may follow the header.
        """
        assert self._selection is not None
        assert self._header is not None
        if self._parameters.values:
            self._selection, unknown = self._selection.as_console_asks(self._parameters.values)
            if unknown:
                names = escaped(", ".join(unknown))
                self._warn(shorten(f"Unknown parameters were ignored: {names}.", LONGEST_SENTENCE, placeholder=" ..."))
        selection, header, log = self._selection, self._header, chain_log(self.log, self._warn)
        rules = self._rules
        self._admission = Admission(rules.memory, partial(rules.plan, selection, header), self.log)
        queue_bytes = await self._admission.admit(item, self._tell_place, rules.settings.queue_bytes)
        self._channel.allow_unsent(min(queue_bytes, UNSENT_BYTES))
        self._worker = rules.workers.begin(selection, header, log, self._send_image, queue_bytes)
        tasks.create_task(self._worker.wait())
        return self._worker

    async def _send_image(self, image: ismrmrd.Image) -> None:
        await self._channel.send(wire.Data(image))
        if not is_provisional(image):
            self._images += 1
            self._last_image = asyncio.get_running_loop().time()
        self._rules.tell(ImageSent(self.id, image))

    def _warn(self, sentence: str) -> None:
        self._rules.tell(ScanWarned(self.id, sentence))
        self._send_text(f"WARNING {sentence}\n")

    @property
    def _pipeline(self) -> str:
        asked = escaped((self._asked or "")[:LONGEST_NAME])
        return self._selection.name if self._selection else shorten(asked, LONGEST_NAME, placeholder=" ...")

    def _ended(self, outcome: Outcome, sentence: str = "") -> None:
        """Tell the observers once how the scan has ended, unless the client asked for none."""
        if self._asked is not None:
            latency = self._last_image - self._last_readout if self._images else None
            seconds = asyncio.get_running_loop().time() - self._begin
            if outcome == "finished":
                self.log.info(
                    "Session %s: %s, %d readouts, %d images, %.2f s from the last readout to the last image.",
                    self.id, self._pipeline, self.readouts, self._images, latency or 0,
                )  # fmt: skip
            self._rules.tell(
                ScanEnded(self.id, self._pipeline, outcome, sentence, self.readouts, self._images, seconds, latency)
            )
            self._asked = None

    def _tell_place(self, place: int) -> None:
        self._send_text(f"INFO The node's memory is in use; this scan is number {place} of those that wait.\n")

    def _warn_if_unrecorded(self) -> None:
        if (reason := self._channel.unrecorded) and not self._warned_of_recording:
            self._warned_of_recording = True
            self._send_text(f"WARNING The scan is not recorded ({reason}).\n")

    def _send_text(self, text: str) -> None:
        if not self._mute:
            self._channel.write(wire.Text(text))

    async def _fail(self, sentence: str, outcome: Outcome = "failed", drain_s: float | None = None) -> None:
        """Send the error to log and client, stop the worker, and read until the client closes the connection."""
        sentence = shorten(escaped(sentence), LONGEST_SENTENCE, placeholder=" ...")
        self.log.error("Session %s failed after %d readouts: %s", self.id, self.readouts, sentence)
        self._ended(outcome if self._header is not None else "refused", sentence)
        if self._worker:
            self._worker.abandon()
        if self._rules.dialect.mute or not self._mute:
            self._channel.write(self._rules.dialect.failure(sentence))
        self._channel.write(wire.Close())
        await self._release()  # before the client has read it, which may be never
        await self._channel.drain(self._rules.settings.drain_s if drain_s is None else drain_s)

    async def _release(self) -> None:
        """Stop the worker, and allow another scan at once. The memory stays reserved until the worker has ended."""
        if self._worker:
            self._worker.abandon()
        if self._holds_slot:
            self._rules.scans.release()
            self._holds_slot = False
        if self._worker:
            await self._worker.stopped()
            self._worker = None  # and with it what the chain holds
        if self._admission:
            self._admission.release()
