"""How a server stops."""

import asyncio
import signal
import subprocess
import sys

import ismrmrd
import numpy as np
import pytest
from heard import counts, failure

from spokestream.pipelines import wire
from spokestream.pipelines.node.events import ReadoutsReceived, ScanEnded


def test_stopping_lets_a_scan_finish(serve, connect, readout, eventually):
    with serve(grace_s=20.0) as running:
        running.gate.clear()
        peer = connect(running.port).opening().say(*[wire.Data(readout())] * 4, wire.Close())
        eventually(lambda: running.chains)
    assert counts(peer.hear()) == [4]


def test_stopping_tells_a_scan_that_does_not_finish(serve, connect, readout, eventually, caplog):
    with serve(grace_s=0.1) as running:
        peer = connect(running.port).opening().say(wire.Data(readout()))
        eventually(lambda: running.chains)
    assert "stopped before the scan was finished" in failure(peer.hear())
    assert "Dropped session" in caplog.text


def test_a_scan_that_is_dropped_is_counted(serve, connect, readout, eventually):
    with serve(grace_s=0.05) as running:
        connect(running.port).opening().say(wire.Data(readout()))
        eventually(lambda: running.chains)
        stopped = asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop)
        assert stopped.result() == 1


SERVE = """
import asyncio, logging, sys
from spokestream.errors import ScanError
from spokestream.pipelines.node.server import Server
from spokestream.pipelines.node.server_settings import ServerSettings
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
asyncio.run(Server(ServerSettings(port=0), lambda text: None, lambda *_: None).serve())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_the_server(number):
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as process:
        assert "Listening" in process.stdout.readline()
        process.send_signal(number)
        assert "Stopped." in process.stdout.read()
    assert process.returncode == 0


class LargeImage:
    """A chain that gives an image which no socket holds at once."""

    def feed(self, item):
        return ()

    def finish(self):
        yield ismrmrd.Image.from_array(np.ones((1, 1, 3000, 3000), np.float32))

    def cancel(self):
        pass

    def close(self):
        pass


def test_stopping_lets_a_scan_send_its_last_image(serve, connect, readout, eventually):
    ended = []
    with serve(lambda *scan: LargeImage(), observers=[ended.append], grace_s=20.0) as running:
        peer = connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        eventually(lambda: running.session()._says_goodbye)
        assert not any(isinstance(event, ScanEnded) for event in ended)
        stopped = asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop)
        *_, image, close = peer.hear()
        assert image.item.data.shape == (1, 1, 3000, 3000)
        assert isinstance(close, wire.Close)
        peer.hang_up()
        assert stopped.result() == 0
    assert ended[-1].outcome == "finished"


def test_a_scan_whose_images_nobody_reads_has_not_finished(serve, connect, readout, eventually):
    told = []
    with serve(lambda *scan: LargeImage(), observers=[told.append], idle_timeout_s=0.2, drain_s=0.1) as running:
        connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        eventually(lambda: any(isinstance(event, ScanEnded) for event in told))
    assert (told[-1].outcome, told[-1].sentence) == ("failed", "The client did not read its last images for 0.2 s.")


def test_images_are_read_late_without_a_trace_in_the_log(serve, connect, readout, eventually, caplog):
    with serve(lambda *scan: LargeImage()) as running:
        peer = connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        eventually(lambda: running.session()._says_goodbye)
        assert len(peer.hear()) == 2
        eventually(lambda: not running.server._sessions)
    assert "Traceback" not in caplog.text


def test_bytes_after_close_do_not_cut_off_the_images(serve, connect, readout, eventually):
    with serve(lambda *scan: LargeImage()) as running:
        peer = connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        eventually(lambda: running.session()._says_goodbye)
        peer.raw(b"\0")
        assert len(peer.hear()) == 2


def test_a_node_that_stops_while_images_are_sent_says_so_of_the_scan(serve, connect, readout, eventually, caplog):
    told = []
    with serve(lambda *scan: LargeImage(), observers=[told.append], grace_s=0.1) as running:
        connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        eventually(lambda: running.session()._says_goodbye)
    assert (told[-1].outcome, told[-1].sentence) == (
        "stopped", "The node was stopped before the client had read its images."
    )  # fmt: skip


def test_a_session_that_has_failed_does_not_keep_the_node_from_stopping(serve, connect, readout, eventually):
    told = []
    with serve(lambda *scan: LargeImage(), observers=[told.append], idle_timeout_s=0.1) as running:
        connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        eventually(lambda: any(isinstance(event, ScanEnded) for event in told))
        stopped = asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop)
        assert stopped.result() == 0


def test_a_second_close_and_an_end_do_not_cut_off_a_scan_that_is_reconstructed(serve, connect, readout, eventually):
    with serve() as running:
        running.gate.clear()
        peer = connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        eventually(lambda: running.chains and running.session()._channel.said_close)
        peer.raw(b"\4\0")
        peer.socket.shutdown(1)
        assert not running.session()._channel.is_gone()
        running.gate.set()
        assert counts(peer.hear()) == [1]


def test_readouts_are_told_although_close_comes_with_them(serve, connect, readout, eventually):
    told = []
    with serve(observers=[told.append]) as running:
        peer = connect(running.port).opening()
        end = [part for event in (wire.Data(readout()), wire.Close()) for part in peer.wire.send(event)]
        peer.raw(b"".join(end)).hear()
        eventually(lambda: any(isinstance(event, ScanEnded) for event in told))
    assert [event.readouts for event in told if isinstance(event, ReadoutsReceived)] == [1]
