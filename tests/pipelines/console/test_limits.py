"""The limits of the page: connections, silence, and what anybody may ask."""

import asyncio
from collections import Counter

import pytest

from spokestream.pipelines.console.counted import Counted


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
