"""What open pages are told while scans run."""

import asyncio
import json

import aiohttp

from spokestream.pipelines.console.history import History
from spokestream.pipelines.node.events import ReadoutsReceived, ScanAdmitted


async def news_until(client, condition):
    """The states told to a page up to the first that fulfils the condition."""
    states = []
    async with client.get("/api/live") as stream:
        assert stream.content_type == "text/event-stream"
        async for line in stream.content:
            if line.startswith(b"data: "):
                states.append(json.loads(line[6:]))
                if condition(states[-1]):
                    return states
    raise AssertionError("the stream ended")


def test_pages_are_told_progress_and_the_end_of_scans(tools):
    async def scenario():
        async with tools.open() as (console, client):
            begin = asyncio.create_task(news_until(client, lambda state: state["running"]))
            admitted, progress, *rest = tools.events(warnings=("Careful.",))
            tools.tell(console, [admitted])
            await begin
            tools.tell(console, [progress])
            (*_, state) = await news_until(
                client, lambda state: state["running"][0]["expected_readouts"] and state["running"][0]["readouts"]
            )
            (running,) = state["running"]
            assert (running["protocol"], running["readouts"], running["expected_readouts"]) == ("thigh <left>", 10, 30)
            tools.tell(console, rest)
            (*_, last) = await news_until(client, lambda now: now["history"] != state["history"])
            assert last["running"] == []
            assert last["trouble"] == ""

    asyncio.run(scenario())


def test_pages_are_told_that_the_history_cannot_be_written(tools, tmp_path):
    async def scenario():
        async with tools.open(tmp_path / "history") as (console, client):
            (console._history.folder / ".lock").unlink()
            console._history.folder.rmdir()
            tools.tell(console, tools.events())
            (*_, state) = await news_until(client, lambda now: now["trouble"])
            assert "is not in the history: " in state["trouble"]
            assert "cannot be written" in state["trouble"]

    asyncio.run(scenario())


def test_pages_are_told_of_a_defect_in_keeping_a_scan(tools, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("beast")

    async def scenario():
        monkeypatch.setattr(History, "add", broken)
        async with tools.open() as (console, client):
            tools.tell(console, tools.events())
            (*_, state) = await news_until(client, lambda now: now["trouble"])
            assert "by a defect: 'beast'" in state["trouble"]

    asyncio.run(scenario())
    assert "KeyError" in caplog.text


def test_a_scan_with_a_broken_header_runs_without_a_goal(tools):
    async def scenario():
        async with tools.open() as (console, client):
            tools.tell(console, [ScanAdmitted("0123abcd", "auto", "<broken"), ReadoutsReceived("0123abcd", 5)])
            (*_, state) = await news_until(client, lambda now: now["running"])
            (running,) = state["running"]
            assert (running["protocol"], running["readouts"], running["expected_readouts"]) == ("", 5, None)

    asyncio.run(scenario())


def test_a_silent_node_is_heard_from_time_to_time(tools, monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.console.live.SILENCE_S", 0.01)
    monkeypatch.setattr("spokestream.pipelines.console.live.PAUSE_S", 0)

    async def scenario():
        async with tools.open() as (_, client):
            again = iter([False, False, True])
            first, second, third = await news_until(client, lambda _: next(again))
            assert first == second == third

    asyncio.run(scenario())


def test_there_is_a_limit_to_open_pages_and_closed_ones_make_room(tools, monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.console.live.MOST_PAGES", 1)
    monkeypatch.setattr("spokestream.pipelines.console.live.SILENCE_S", 0.01)
    monkeypatch.setattr("spokestream.pipelines.console.live.PAUSE_S", 0)

    async def scenario():
        async with tools.open() as (_, client):
            async with client.get("/api/live") as first:
                await first.content.readline()
                assert (await tools.got(client, "/api/live"))[0] == 503
            status = 503
            while status == 503:
                async with client.get("/api/live") as second:
                    status = second.status
            assert status == 200

    asyncio.run(scenario())


def test_an_open_page_does_not_keep_the_node_from_stopping(tools):
    async def scenario():
        async with aiohttp.ClientSession() as browser:
            async with tools.open() as (console, _):
                stream = await browser.get(f"http://127.0.0.1:{console.port}/api/live")
                assert (await stream.content.readline()).startswith(b"data: ")
            await stream.read()  # to its end

    asyncio.run(scenario())
