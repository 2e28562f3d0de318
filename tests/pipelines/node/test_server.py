"""The sessions of a server: scans, questions, and several at once."""

import json
import logging
import threading

import ismrmrd
import numpy as np
import pytest
from heard import counts, texts

from spokestream.pipelines import wire
from spokestream.pipelines.node.workers.inbox import Inbox


def test_a_scan_gives_its_images_and_a_close(serve, connect, readout):
    with serve() as running:
        peer = connect(running.port).opening().say(*[wire.Data(readout())] * 5, wire.Close())
        heard = peer.hear(stays=True)
        assert counts(heard) == [5]
        assert isinstance(heard[-1], wire.Close)
        assert peer.socket.recv(1) == b""  # and hangs up
        assert running.chains[0].closed


def test_unknown_parameters_of_a_console_are_a_warning(serve, connect, readout):
    with serve() as running:
        text = wire.Text('{"parameters": {"options": "red", "every": 2, "\\u001b[1m": 1}}')
        heard = connect(running.port).opening().say(text, *[wire.Data(readout())] * 2, wire.Close()).hear()
        assert texts(heard) == ["WARNING Unknown parameters were ignored: options, \\x1b[1m.\n"]
        assert counts(heard) == [2, 2]


def test_images_come_while_the_scan_goes_on(serve, connect, readout):
    with serve() as running:
        peer = connect(running.port).opening().say(wire.Text(json.dumps({"parameters": {"every": 2}})))
        peer.say(*[wire.Data(readout())] * 2)
        assert counts(peer.hear(wire.Data)) == [2]
        peer.say(*[wire.Data(readout())] * 2)
        assert counts(peer.hear(wire.Data)) == [4]
        assert counts(peer.say(wire.Close()).hear()) == [4]


def test_only_images_reach_the_client(serve, connect, readout):
    waveform = ismrmrd.Waveform.from_array(np.zeros((1, 4), np.uint32))
    with serve() as running:
        heard = connect(running.port).opening().say(wire.Data(waveform), wire.Data(readout()), wire.Close()).hear()
        assert counts(heard) == [1]


def test_warnings_of_the_chain_reach_the_client(serve, connect, readout):
    with serve() as running:
        heard = connect(running.port).opening().say(wire.Data(readout(7)), wire.Close()).hear()
        assert texts(heard) == ["WARNING This is a 7.\n"]
        assert counts(heard) == [1]


def test_images_of_a_client_do_not_come_back(serve, connect, readout):
    image = ismrmrd.Image(head=ismrmrd.ImageHeader(data_type=3), data=np.full((1, 1, 2, 3), 99, np.uint32))
    with serve() as running:
        heard = connect(running.port).opening().say(wire.Data(image), wire.Data(readout()), wire.Close()).hear()
        assert counts(heard) == [1]


def test_parameters_that_are_too_late_do_not_end_a_scan_however_many_there_are(serve, connect, readout):
    late = wire.Text(json.dumps({"parameters": {"every": 2, "comment": "x" * 30_000}}))
    with serve() as running:
        peer = connect(running.port).opening().say(wire.Data(readout()), *[late] * 3, wire.Close())
        heard = peer.hear()
    assert counts(heard) == [1]
    assert texts(heard) == ["WARNING Parameters came after the first readout and were ignored.\n"]


def test_parameters_after_the_first_readout_are_too_late(serve, connect, readout, healthy):
    late = wire.Text('{"parameters": {"every": 1}}')
    with serve() as running:
        heard = connect(running.port).opening().say(wire.Data(readout()), late, late, wire.Close()).hear()
        assert texts(heard) == ["WARNING Parameters came after the first readout and were ignored.\n"]
        assert counts(heard) == [1]


def test_a_client_that_half_closes_after_close_gets_its_images(serve, connect, readout):
    with serve() as running:
        peer = connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        peer.socket.shutdown(1)
        assert counts(peer.hear()) == [1]


def test_two_sessions_at_once_do_not_mix(serve, connect, readout):
    with serve() as running:
        first, second = connect(running.port).opening(), connect(running.port, "localhost").opening()
        for _ in range(4):
            first.say(wire.Data(readout()))
            second.say(wire.Data(readout()), wire.Data(readout()))
        assert counts(second.say(wire.Close()).hear()) == [8]
        assert counts(first.say(wire.Close()).hear()) == [4]


def test_a_slow_chain_slows_its_client_down_instead_of_filling_memory(serve, connect, readout, eventually, monkeypatch):
    held, put = [], Inbox.put

    async def watched(inbox, *item):
        await put(inbox, *item)
        held.append(inbox.held)

    monkeypatch.setattr(Inbox, "put", watched)
    big = wire.Data(readout(channels=64, samples=2048))  # 1 MiB, so that no two are received together
    room = 3 * (big.item.data.nbytes + 342)  # for three of them, with their ids and headers
    with serve(queue_bytes=room) as running:
        running.gate.clear()
        peer = connect(running.port).opening()
        sender = threading.Thread(target=peer.say, args=[*[big] * 60, wire.Close()])
        sender.start()
        eventually(lambda: len(held) >= 3)
        transport = running.session()._channel._stream.transport
        eventually(lambda: not (transport.is_reading() and sender.is_alive()))
        # nothing moves until the chain does: 60 x 1 MiB do not fit into the inbox and the buffers of the sockets
        assert sender.is_alive()
        assert (len(held), running.chains[0].count) == (3, 0)
        running.gate.set()
        sender.join()
        assert counts(peer.hear()) == [60]
    assert len(held) == 60
    assert max(held) <= room


def test_noise_questions_are_answered_by_close_alone(serve, connect):
    noise = "<gadgetronStreamConfiguration><classname>NoiseSummaryGadget</classname></gadgetronStreamConfiguration>"
    with serve() as running:
        assert connect(running.port).say(wire.ConfigText(noise), wire.Close()).hear() == [wire.Close()]
        assert connect(running.port).say(wire.ConfigText(noise)).raw(b"\xff\xff").hear() == [wire.Close()]


@pytest.mark.parametrize("said", [[], [wire.ConfigFile("toy")], [wire.ConfigFile("isalive.xml")]])
def test_close_before_the_header_is_answered_by_close_alone(serve, connect, said):
    with serve() as running:
        assert connect(running.port).say(*said, wire.Close()).hear() == [wire.Close()]


def test_queries_are_answered_in_any_state(serve, connect, readout):
    with serve() as running:
        peer = connect(running.port)
        said = [wire.ConfigFile("toy"), wire.Header("<a/>"), wire.Data(readout())]
        for i, event in enumerate(said):
            peer.say(wire.Query(i, "gadgetron::version"))
            (response,) = peer.hear(wire.Response)
            assert response.correlation_id == i
            assert response.text.startswith("spokestream ")
            peer.say(event)
        peer.say(wire.Query(9, "gadgetron::cuda::devices"), wire.Close())
        assert wire.Response(9, "Unknown query") in peer.hear()


def test_localhost_is_reachable_by_both_protocols(serve, connect, readout):
    with serve() as running:
        hosts = {listener.getsockname()[0] for listener in running.server._listeners}
        assert "127.0.0.1" in hosts
        for host in hosts:
            heard = connect(running.port, host).opening().say(wire.Data(readout()), wire.Close()).hear()
            assert counts(heard) == [1]


def test_a_log_line_sums_up_each_scan(serve, healthy, caplog):
    caplog.set_level(logging.INFO, "spokestream")
    with serve() as running:
        assert healthy(running)
    assert "toy, 3 readouts, 1 images, " in caplog.text
