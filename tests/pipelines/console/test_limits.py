"""The limits of the page: connections, silence, and what anybody may ask."""

import asyncio
import threading
from collections import Counter

import pytest

from spokestream.pipelines.console.console import image_bytes
from spokestream.pipelines.console.counted import Counted
from spokestream.pipelines.console.history import History
from spokestream.pipelines.console.scan_record import ScanRecord
from spokestream.pipelines.node.events import ReadoutsReceived, ScanAdmitted, ScanEnded


@pytest.mark.parametrize("limit", ["MOST_CONNECTIONS", "MOST_OF_ADDRESS"])
def test_a_crowd_of_connections_is_closed_but_for_a_few(limit, tools, monkeypatch):
    monkeypatch.setattr(f"spokestream.pipelines.console.console.{limit}", 2)

    async def scenario():
        async with tools.open() as (console, client):
            crowd = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", console.port) for _ in range(9)))
            reading = [asyncio.create_task(reader.read()) for reader, _ in crowd]
            while sum(task.done() for task in reading) < 7:
                await asyncio.sleep(0.005)
            for _ in range(20):  # the two that are left stay
                await asyncio.sleep(0)
            assert sum(task.done() for task in reading) == 7
            for _, writer in crowd:
                writer.close()
            while console._addresses:
                await asyncio.sleep(0.005)
            assert (await tools.got(client, "/healthz"))[0] == 200

    asyncio.run(scenario())


def test_connections_without_a_request_are_closed_after_a_while(tools, monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.console.console.SILENCE_S", 0.05)

    async def scenario():
        async with tools.open() as (console, _):
            for said in (b"", b"GET / HTTP/1.1\r\nHost:"):
                reader, writer = await asyncio.open_connection("127.0.0.1", console.port)
                writer.write(said)
                await reader.read()
                writer.close()

    asyncio.run(scenario())


def test_readiness_writes_one_file_a_second_however_many_ask(tools, monkeypatch, tmp_path):
    looked = []
    monkeypatch.setattr("spokestream.pipelines.console.console.check_writable", looked.append)
    monkeypatch.setattr("spokestream.pipelines.console.console.READY_S", 1e6)

    async def scenario():
        async with tools.open(recordings=tmp_path) as (_, client):
            answers = await asyncio.gather(*(tools.got(client, "/readyz") for _ in range(20)))
            assert {status for status, *_ in answers} == {200}

    asyncio.run(scenario())
    assert looked == [tmp_path]


class SlowTransport(asyncio.Transport):
    """A transport whose peer reads until so many bytes are unsent."""

    def __init__(self, *unsent):
        super().__init__()
        self.unsent, self.ended = list(unsent), asyncio.Event()

    def get_write_buffer_size(self):
        return self.unsent.pop(0)

    def abort(self):
        self.ended.set()


def test_an_answer_ends_when_its_peer_has_stopped_to_read():
    async def scenario():
        transport = SlowTransport(9, 5, 1, 1, 0)
        connection = Counted(asyncio.Protocol(), Counter(), 1, 1, silence_s=0.001)
        connection.connection_made(transport)
        connection.pause_writing()
        await transport.ended.wait()
        assert transport.unsent == [0]

    asyncio.run(scenario())


def test_an_answer_that_is_read_to_its_end_is_not_watched_any_more():
    async def scenario():
        transport = SlowTransport(9)
        connection = Counted(asyncio.Protocol(), Counter(), 1, 1, silence_s=0.001)
        connection.connection_made(transport)
        connection.pause_writing()
        connection.resume_writing()
        await asyncio.sleep(0.01)
        assert not transport.ended.is_set()

    asyncio.run(scenario())


def test_a_header_is_read_with_the_first_readout_and_only_if_it_is_not_huge(tools, monkeypatch):
    read = []
    monkeypatch.setattr(ScanRecord, "read_header", lambda record, xml: read.append(xml))
    monkeypatch.setattr("spokestream.pipelines.console.running_scans.LONGEST_HEADER", 9)

    async def scenario():
        async with tools.open() as (console, client):
            for session, xml, readouts in (("aa", "<a/>", 0), ("bb", "<b/>", 1), ("cc", "<c></c>   ", 1)):
                received = [ReadoutsReceived(session, 1)] * readouts
                admitted = ScanAdmitted(session, "auto", xml)
                tools.tell(
                    console, [admitted, *received, ScanEnded(session, "auto", "failed", "", readouts, 0, 1.0, None)]
                )
            await tools.kept(client, 3)

    asyncio.run(scenario())
    assert read == ["<b/>"]


def test_few_ended_scans_wait_and_stopping_does_not_wait_for_them_for_ever(tools, monkeypatch, caplog):
    monkeypatch.setattr("spokestream.pipelines.console.running_scans.MOST_WAITING", 2)
    monkeypatch.setattr("spokestream.pipelines.console.running_scans.FINISH_S", 0.05)
    gate = threading.Event()
    monkeypatch.setattr(History, "add", lambda *scan: gate.wait())

    async def scenario():
        async with tools.open() as (console, _):
            for session in ("aa", "bb", "cc"):
                tools.tell(console, tools.events(session))
            assert "is not in the history: 2 others wait to be written" in console._scans.trouble
            await console._scans.finish()
            gate.set()

    asyncio.run(scenario())
    assert "2 scans are not in the history, because the node was stopped" in caplog.text


def test_the_images_of_all_scans_together_are_bounded(tools, monkeypatch):
    async def scenario():
        async with tools.open(most_bytes=2500) as (console, client):  # 6 images of 252 bytes a scan
            first, second = list(tools.events("aa")), list(tools.events("bb"))
            tools.tell(console, first[:-1])
            tools.tell(console, second[:-1])
            tools.tell(console, [first[-1], second[-1]])
            records = {record["id"][-2:]: record["maps"] for record in await tools.kept(client, 2)}
            assert records == {"aa": ["ff", "t1h2o", "deltaf"], "bb": []}

    asyncio.run(scenario())
    assert image_bytes(1 << 30) == 1 << 27
    assert image_bytes(1 << 40) == 1 << 29
