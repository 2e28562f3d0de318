"""A console beside a node that does nothing, and scans of example maps whose events a test tells it."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from map_image_examples import example_images

from spokestream.pipelines.console.console import Console
from spokestream.pipelines.console.settings import ConsoleSettings
from spokestream.pipelines.node.events import ImageSent, ReadoutsReceived, ScanAdmitted, ScanEnded, ScanWarned

HEADER = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<measurementInformation><protocolName>thigh &lt;left&gt;</protocolName></measurementInformation>
<encoding><encodedSpace><matrixSize><x>28</x><y>28</y><z>1</z></matrixSize>
<fieldOfView_mm><x>560</x><y>560</y><z>8</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>14</x><y>9</y><z>1</z></matrixSize>
<fieldOfView_mm><x>280</x><y>270</y><z>8</z></fieldOfView_mm></reconSpace>
<encodingLimits><slice><minimum>0</minimum><maximum>1</maximum><center>0</center></slice></encodingLimits>
<trajectory>radial</trajectory></encoding>
<sequenceParameters>{train}</sequenceParameters></ismrmrdHeader>"""


@dataclass
class IdleNode:
    listening: bool = True
    queued_bytes: int = 0


def scan_events(session="0123abcd", images=None, outcome="finished", sentence="", warnings=(), latency_s=1.5):
    """The events of a scan of 30 readouts."""
    images = example_images(2) if images is None else images
    header = HEADER.format(train="".join(f"<TE>{te}</TE>" for te in range(1, 16)))
    yield ScanAdmitted(session, "auto", header)
    yield ReadoutsReceived(session, 10)
    for sentence_of_warning in warnings:
        yield ScanWarned(session, sentence_of_warning)
    for image in images:
        yield ImageSent(session, image)
    latency = latency_s if images else None
    yield ScanEnded(session, "auto", outcome, sentence, 30, len(images), 12.0, latency)


def tell(console, events):
    for event in events:
        for observer in console.observers:
            observer(event)


@asynccontextmanager
async def open_console(history=None, recordings=None, node=None, headers=None, most_bytes=1 << 29, **settings):
    """A console with a client; what the client gets is checked by the test."""
    console = Console(ConsoleSettings(http=0, history=history, **settings), recordings, most_bytes)
    await console.start(node or IdleNode())
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{console.port}", headers=headers) as client:
            yield console, client
    finally:
        await console.stop()


async def kept(client, n=1):
    """The records of the history, as soon as there are so many."""
    while True:
        async with client.get("/api/scans") as answer:
            records = await answer.json()
        if len(records) >= n:
            return records
        await asyncio.sleep(0.005)


async def got(client, address, **more):
    """Status, body and headers of an answer."""
    async with client.get(address, allow_redirects=False, **more) as answer:
        return answer.status, await answer.read(), answer.headers


@pytest.fixture
def tools():
    """The functions of this file, for tests in one event loop: `asyncio.run(scenario())`."""

    class Tools:
        node = IdleNode
        events = staticmethod(scan_events)
        tell = staticmethod(tell)
        open = staticmethod(open_console)
        kept = staticmethod(kept)
        got = staticmethod(got)

    return Tools
