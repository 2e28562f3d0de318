"""The limits of a server: memory, times, and numbers of connections and scans."""

import struct
import time
from contextlib import suppress

import ismrmrd
import pytest
from heard import counts, failure, texts

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.deadlines import Deadlines
from spokestream.pipelines.node.server_settings import ServerSettings


def scan_of(n_bytes):
    """A plan by which every scan needs so many bytes, or as many for each byte of its largest readout."""
    return lambda selection, header, channels, readout_bytes: n_bytes if n_bytes > 0 else -n_bytes * readout_bytes


def test_a_scan_waits_for_memory_and_hears_its_place(serve, connect, readout, eventually):
    with serve(plan=scan_of(1 << 20)) as running:
        running.server._rules.memory.capacity = 3 << 19
        first = connect(running.port).opening().say(wire.Data(readout()))
        eventually(lambda: running.chains)
        second = connect(running.port).opening().say(wire.Data(readout()))
        (told,) = texts(second.hear(wire.Text))
        assert told == "INFO The node's memory is in use; this scan is number 1 of those that wait.\n"
        assert len(running.chains) == 1
        assert counts(first.say(wire.Close()).hear()) == [1]
        assert counts(second.say(wire.Close()).hear()) == [1]
        eventually(lambda: running.server._rules.memory.reserved == 0)


def test_a_scan_that_never_fits_is_refused_with_the_numbers(serve, connect, readout, healthy):
    with serve(plan=scan_of(-(1 << 40))) as running:
        heard = connect(running.port).opening().say(wire.Data(readout())).hear()
        assert "needs 81920.0 GiB of memory, but the node has" in failure(heard)  # 2 * 5 samples of 8 bytes
        assert running.server._rules.memory.reserved == 0


def test_a_larger_readout_extends_the_reservation_or_ends_the_scan(serve, connect, readout, eventually):
    with serve(plan=scan_of(-1000)) as running:
        memory = running.server._rules.memory
        peer = connect(running.port).opening().say(wire.Data(readout()))
        eventually(lambda: memory.reserved == 80_000)
        peer.say(wire.Data(readout(channels=4)))
        eventually(lambda: memory.reserved == 160_000)
        memory.capacity = 200_000
        assert "needs 0 MiB of memory, but" in failure(peer.say(wire.Data(readout(channels=8))).hear())
        eventually(lambda: memory.reserved == 0)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_vanished_client_frees_its_place_although_nobody_reads(waiting, serve, connect, readout, eventually):
    big = wire.Data(readout(channels=32, samples=2048))
    with serve(queue_bytes=1 << 20, plan=scan_of(1 << 20)) as running:
        running.server._rules.memory.capacity = 3 << 19
        first = connect(running.port).opening().say(wire.Data(readout()))
        eventually(lambda: running.chains and running.chains[0].count)  # else it fills the queue at the closed gate
        if waiting:
            peer = connect(running.port).opening().say(wire.Data(readout()))
            peer.hear(wire.Text)
            peer.raw(b"\0")  # so that bytes wait to be read
        else:
            running.gate.clear()
            peer = first.say(big, big, big)
            eventually(lambda: running.session().queued_bytes > 1 << 19)
        n_sessions = len(running.server._sessions)
        peer.hang_up()
        eventually(lambda: len(running.server._sessions) == n_sessions - 1 or running.chains[0].cancelled)
        running.gate.set()
        eventually(lambda: len(running.server._sessions) == n_sessions - 1)


def test_a_vanished_client_frees_its_place_before_its_computation_ends(serve, connect, readout, eventually):
    with serve(max_sessions=1, plan=scan_of(1 << 20)) as running:
        running.gate.clear()
        first = connect(running.port).opening().say(wire.Data(readout()))
        eventually(lambda: running.chains and running.chains[0].begun)
        first.hang_up()
        eventually(lambda: not running.server._rules.scans.locked())
        second = connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        eventually(lambda: len(running.chains) == 2)
        assert running.server._rules.memory.reserved == 2 << 20
        running.gate.set()
        assert counts(second.hear()) == [1]
        eventually(lambda: running.server._rules.memory.reserved == 0)


def test_deadlines_end_sessions_in_a_sentence(serve, connect):
    with serve(first_byte_s=0.1) as running:
        assert "The client sent nothing in 0.1 s" in failure(connect(running.port).hear())
    with serve(opening_s=0.1) as running:
        peer = connect(running.port).say(wire.ConfigFile("toy"))
        assert "did not send configuration and header within 0.1 s" in failure(peer.hear())
    with serve(session_s=0.1) as running:
        assert "lasted longer than 0.1 s" in failure(connect(running.port).opening().hear())


def test_a_message_that_trickles_in_ends_its_session(serve, connect, monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.node.deadlines.RATE_AFTER_S", 0.05)
    with serve(min_rate=1e6) as running:
        peer = connect(running.port).opening().raw(struct.pack("<HI", 5, 1000))
        for _ in range(20):
            time.sleep(0.01)
            with suppress(OSError):
                peer.raw(b"a")
        assert "less than 1e+06 bytes/s" in failure(peer.hear())


def test_a_slow_node_is_not_counted_against_the_rate_of_its_client():
    clock = Deadlines(ServerSettings(min_rate=1000.0))
    clock.received(1, 0.0, 1)  # the last byte of the message before
    clock.received(100, 29.0, 1)
    with pytest.raises(ScanError, match="100 bytes of a message in 32 s, less than 1000 bytes/s"):
        clock.received(0, 3.0, 1)
    clock.received(1, 100.0, 2)  # another message


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
def test_connections_beyond_the_limit_are_told_and_the_others_serve(limit, serve, connect, readout, eventually):
    with serve(**{limit: 2}) as running:
        first, second = connect(running.port).opening(), connect(running.port)
        eventually(lambda: len(running.server._sessions) == 2)
        assert "connections" in failure(connect(running.port).hear())
        assert len(running.server._sessions) == 2
        second.hang_up()
        eventually(lambda: len(running.server._sessions) == 1)
        assert counts(first.say(wire.Data(readout()), wire.Close()).hear()) == [1]
        eventually(lambda: not running.server._addresses)


def test_scans_beyond_the_limit_are_refused_and_questions_are_not(serve, connect, readout, healthy, eventually):
    with serve(max_sessions=1) as running:
        first = connect(running.port).opening().say(wire.Data(readout()))
        eventually(lambda: running.chains)
        refused = connect(running.port).opening()
        assert "busy with 1 scans" in failure(refused.hear())
        refused.hang_up()
        query = connect(running.port).say(wire.Query(3, "ismrmrd::version"), wire.Close())
        assert query.hear()[0] == wire.Response(3, ismrmrd.__version__)
        assert counts(first.say(wire.Close()).hear()) == [1]
        assert healthy(running)  # at once, with the only place free again


def test_a_silent_client_is_told_so_and_gives_its_place_back(serve, connect, eventually):
    with serve(idle_timeout_s=0.2) as running:
        assert "silent for 0.2 s" in failure(connect(running.port).opening().hear())
        eventually(lambda: not running.server._sessions)
