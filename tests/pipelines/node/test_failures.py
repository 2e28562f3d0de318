"""What goes wrong in a session is told in one sentence, and the node serves on."""

import asyncio
import json
import logging
import socket
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from heard import counts, failure

from spokestream.errors import InputError
from spokestream.pipelines import wire
from spokestream.pipelines.node.channel import Channel
from spokestream.pipelines.selection import select

HEADER_FIRST = struct.pack("<HI", 3, 4) + b"<a/>"


FAILURES = {
    "unknown pipeline": (lambda p, r: p.say(wire.ConfigFile("rm -rf")), "known are: toy"),
    "unknown XML": (lambda p, r: p.say(wire.ConfigText("<configuration/>")), "There is no pipeline"),
    "garbage": (lambda p, r: p.raw(b"GET / HTTP/1.1\r\n\r\n"), "is no message id"),
    "no configuration": (lambda p, r: p.raw(HEADER_FIRST), "HEADER before the configuration"),
    "no header": (lambda p, r: p.say(wire.ConfigFile("toy")).raw(struct.pack("<H", 1008)), "before the header"),
    "a header that nothing can read": (
        lambda p, r: p.say(wire.ConfigFile("toy"), wire.Header("<broken/>"), wire.Data(r())),
        "no <encoding>",
    ),
    "a bad parameter": (
        lambda p, r: p.opening().say(wire.Text('{"parameters": {"every": "never"}}'), wire.Data(r())),
        "must be a number",
    ),
    "a bad readout": (lambda p, r: p.opening().say(wire.Data(r()), wire.Data(r(np.nan))), "holds NaN"),
    "a defect in the chain": (lambda p, r: p.opening().say(wire.Data(r(666))), "please report it (KeyError"),
    "garbage in mid-scan": (lambda p, r: p.opening().say(wire.Data(r())).raw(b"\xff" * 9), "65535 is no message id"),
    "a monstrous text": (lambda p, r: p.opening().raw(struct.pack("<HI", 5, 2**32 - 1)), "beyond the limit"),
    "a second header": (lambda p, r: p.opening().raw(HEADER_FIRST), "HEADER after the header"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_every_failure_is_one_sentence_and_the_node_serves_on(what, serve, connect, readout, healthy, eventually):
    misbehave, complaint = FAILURES[what]
    with serve() as running:
        peer = connect(running.port)
        misbehave(peer, readout)
        assert complaint in failure(peer.hear())
        assert healthy(running)
        eventually(lambda: all(chain.closed for chain in running.chains))


def test_a_client_may_talk_on_after_a_failure_and_still_hear_of_it(serve, connect, readout):
    with serve(queue_bytes=1 << 16) as running:
        peer = connect(running.port).opening().say(wire.Data(readout(np.nan)))
        peer.say(*[wire.Data(readout(channels=16, samples=4096))] * 60)  # 32 MB, far beyond any socket's buffer
        assert "holds NaN" in failure(peer.hear())


def test_a_client_that_vanishes_in_mid_scan_ends_its_session(serve, connect, readout, healthy, eventually, caplog):
    caplog.set_level(logging.INFO, "spokestream")
    with serve() as running:
        peer = connect(running.port).opening().say(*[wire.Data(readout())] * 3)
        eventually(lambda: running.chains and running.chains[0].count == 3)
        peer.hang_up()
        eventually(lambda: not running.server._sessions)
        assert running.chains[0].cancelled
        assert running.chains[0].closed
        assert healthy(running)
    assert "failed after 3 readouts: The stream ended without CLOSE" in caplog.text


def test_one_failing_session_leaves_the_other_alone(serve, connect, readout):
    with serve() as running:
        good, bad = connect(running.port).opening(), connect(running.port).opening()
        good.say(wire.Data(readout()))
        assert "holds NaN" in failure(bad.say(wire.Data(readout(np.nan))).hear())
        assert counts(good.say(wire.Data(readout()), wire.Close()).hear()) == [2]


def test_parameters_without_end_are_refused(serve, connect):
    nested = wire.Text(json.dumps({"parameters": {"p": [[]] * 5000}}))  # takes 20 times as much memory as an object
    with serve() as running:
        said = failure(connect(running.port).say(*[nested] * 5).hear())
        assert "parameters of more than 65536 characters" in said


def test_others_are_served_between_the_queries_of_one_client(serve, connect, eventually, monkeypatch):
    turns, answered, asked = [0], [], wire.Connection(wire.Role.CLIENT)
    monkeypatch.setattr("spokestream.pipelines.node.session.answer", lambda text: answer_in_turn())
    queries = [wire.Query(i, "gadgetron::info") for i in range(2000)]

    def answer_in_turn():
        answered.append(turns[0])
        return ""

    async def count_turns(turns):
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    with serve() as running:
        counting = asyncio.run_coroutine_threadsafe(count_turns(turns), running.loop)
        eventually(lambda: turns[0])
        asking = connect(running.port).raw(b"".join(part for query in queries for part in asked.send(query)))
        eventually(lambda: len(answered) == len(queries))
        counting.cancel()
        asking.say(wire.Close()).hear()
    assert len(set(answered)) == len(queries)  # each in another turn of the event loop


def test_the_server_outlives_a_shortage_of_file_descriptors(serve, connect, readout, healthy, monkeypatch, caplog):
    monkeypatch.setattr("spokestream.pipelines.node.server.PAUSE_S", 0.01)
    accept, failures = socket.socket.accept, [OSError(24, "Too many open files")]

    def short_of_descriptors(listener):
        if failures:
            raise failures.pop()
        return accept(listener)

    monkeypatch.setattr("socket.socket.accept", short_of_descriptors)
    with serve() as running:
        assert healthy(running)
    assert "Cannot accept a client: [Errno 24] Too many open files" in caplog.text


def test_what_a_peer_sends_is_escaped_in_answers_and_logs(serve, connect, caplog):
    with serve() as running:
        sentence = failure(connect(running.port).say(wire.ConfigFile("a\x1b[2J\u202eb")).hear())
        assert r"a\x1b[2J\u202eb" in sentence
        assert "\x1b" not in caplog.text
        assert "\u202e" not in caplog.text


def test_a_scanner_cannot_make_the_node_open_a_file(tmp_path):
    secret = tmp_path / "secret.seq"
    secret.write_text("password")
    for name in (str(secret), "secret.seq", "../secret.toml", "secret.toml"):
        with pytest.raises(InputError, match="The setting sequence takes a name, not a path"):
            select(f'<configuration><property name="sequence" value="{name}"/></configuration>')
        with pytest.raises(InputError, match="The setting sequence takes a name, not a path"):
            select("auto").with_parameters({"sequence": name})


def test_a_client_that_leaves_with_messages_unread_has_gone_and_one_that_said_close_has_not():
    texts = b"".join(bytes(part) for _ in range(1500) for part in wire.Connection(wire.Role.CLIENT).send(wire.Text("")))
    for end, gone in ((b"", True), (struct.pack("<H", 4), False)):
        left, stays = socket.socketpair()
        with left, stays:
            connection = wire.Connection(wire.Role.SERVER, most_events=1000)
            assert len(connection.receive_data(texts + end)) == 1000
            channel = object.__new__(Channel)
            channel.wire, channel._reads, channel.said_close = connection, False, False
            channel._stream = SimpleNamespace(transport=SimpleNamespace(get_extra_info=lambda name, sock=stays: sock))
            assert not channel.is_gone()
            left.shutdown(socket.SHUT_WR)
            assert channel.is_gone() == gone


def test_a_client_whose_close_is_half_read_has_not_gone():
    left, stays = socket.socketpair()
    with left, stays:
        connection = wire.Connection(wire.Role.SERVER)
        assert connection.receive_data(b"\x04") == []
        channel = object.__new__(Channel)
        channel.wire, channel._reads, channel.said_close = connection, False, False
        channel._stream = SimpleNamespace(transport=SimpleNamespace(get_extra_info=lambda name: stays))
        left.sendall(b"\0")
        left.shutdown(socket.SHUT_WR)
        assert not channel.is_gone()
