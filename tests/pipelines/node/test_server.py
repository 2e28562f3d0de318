import asyncio
import json
import logging
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import FileError, InputError, ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.deadlines import Deadlines
from spokestream.pipelines.node.recording import Recorder, read_recording
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.node.workers.inbox import Inbox
from spokestream.pipelines.selection import select


def counts(events):
    return [int(e.item.data.flat[0]) for e in events if isinstance(e, wire.Data)]


def texts(events):
    return [event.text for event in events if isinstance(event, wire.Text)]


@pytest.fixture
def healthy(connect, readout):
    """A whole scan passes: the server is alive."""

    def check(running):
        peer = connect(running.port).opening().say(*[wire.Data(readout())] * 3, wire.Close())
        heard = peer.hear()
        assert counts(heard) == [3]
        assert texts(heard) == []
        return True

    return check


def test_a_scan_gives_its_images_and_a_close(serve, connect, readout):
    with serve() as running:
        peer = connect(running.port).opening().say(*[wire.Data(readout())] * 5, wire.Close())
        heard = peer.hear()
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


def test_parameters_without_end_are_refused(serve, connect):
    many = wire.Text(json.dumps({"parameters": {f"p{i}": i for i in range(1001)}}))
    with serve() as running:
        assert "more than 1000 parameters" in failure(connect(running.port).opening().say(many).hear())


def test_parameters_after_the_first_readout_are_too_late(serve, connect, readout, healthy):
    late = wire.Text('{"parameters": {"every": 1}}')
    with serve() as running:
        heard = connect(running.port).opening().say(wire.Data(readout()), late, late, wire.Close()).hear()
        assert texts(heard) == ["WARNING Parameters came after the first readout and were ignored.\n"]
        assert counts(heard) == [1]


def failure(events):
    """The sentence of a failed session, which ends in TEXT and CLOSE."""
    assert [type(event) for event in events[-2:]] == [wire.Text, wire.Close]
    text = events[-2].text
    assert text.startswith("ERROR ")
    assert text.endswith("\n")
    assert "\n" not in text[:-1]
    return text


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


def test_a_client_that_half_closes_after_close_gets_its_images(serve, connect, readout):
    with serve() as running:
        peer = connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        peer.socket.shutdown(1)
        assert counts(peer.hear()) == [1]


def test_a_silent_client_is_told_so_and_gives_its_place_back(serve, connect, eventually):
    with serve(idle_timeout_s=0.2) as running:
        assert "silent for 0.2 s" in failure(connect(running.port).opening().hear())
        eventually(lambda: not running.server._sessions)


def test_two_sessions_at_once_do_not_mix(serve, connect, readout):
    with serve() as running:
        first, second = connect(running.port).opening(), connect(running.port, "localhost").opening()
        for _ in range(4):
            first.say(wire.Data(readout()))
            second.say(wire.Data(readout()), wire.Data(readout()))
        assert counts(second.say(wire.Close()).hear()) == [8]
        assert counts(first.say(wire.Close()).hear()) == [4]


def test_one_failing_session_leaves_the_other_alone(serve, connect, readout):
    with serve() as running:
        good, bad = connect(running.port).opening(), connect(running.port).opening()
        good.say(wire.Data(readout()))
        assert "holds NaN" in failure(bad.say(wire.Data(readout(np.nan))).hear())
        assert counts(good.say(wire.Data(readout()), wire.Close()).hear()) == [2]


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


def test_a_slow_chain_slows_its_client_down_instead_of_filling_memory(serve, connect, readout, eventually, monkeypatch):
    held, put = [], Inbox.put

    async def watched(inbox, *item):
        await put(inbox, *item)
        held.append(inbox.held)

    monkeypatch.setattr(Inbox, "put", watched)
    big = wire.Data(readout(channels=32, samples=2048))  # 512 KiB
    room = 3 * (big.item.data.nbytes + 342)  # for three of them, with their ids and headers
    with serve(queue_bytes=room) as running:
        running.gate.clear()
        peer = connect(running.port).opening()
        sender = threading.Thread(target=peer.say, args=[*[big] * 60, wire.Close()])
        sender.start()
        eventually(lambda: len(held) >= 3)
        transport = running.session()._channel._writer.transport
        eventually(lambda: not (transport.is_reading() and sender.is_alive()))
        # nothing moves until the chain does: 60 x 512 KiB do not fit into the inbox and the buffers of the sockets
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


def test_recordings_hold_what_came_also_after_a_failure(serve, connect, readout, tmp_path, eventually):
    with serve(record=tmp_path / "raw") as running:
        said = [wire.ConfigFile("toy"), wire.Header("<a/>"), wire.Data(readout(np.nan)), wire.Data(readout())]
        peer = connect(running.port).say(*said)
        failure(peer.hear())
        peer.say(wire.Data(readout()), wire.Close()).hang_up()
        eventually(lambda: not running.server._sessions)
        (path,) = (tmp_path / "raw").iterdir()
        client = wire.Connection(wire.Role.CLIENT)
        sent = [*said, wire.Data(readout()), wire.Close()]
        expected = b"".join(bytes(part) for event in sent for part in client.send(event))
        assert b"".join(data for _, data in read_recording(path)) == expected


def test_questions_leave_no_recording_and_scans_do(serve, connect, healthy, tmp_path, eventually):
    with serve(record=tmp_path) as running:
        connect(running.port).say(wire.Query(1, "ismrmrd::version"), wire.Close()).hear()
        eventually(lambda: not running.server._sessions)
        assert list(tmp_path.iterdir()) == []
        assert healthy(running)
        assert len(list(tmp_path.iterdir())) == 1


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


@pytest.mark.parametrize("broken", ["write", "__init__"])
def test_a_full_disk_does_not_stop_the_scan_and_its_client_is_warned_once(
    broken, serve, connect, readout, tmp_path, monkeypatch, caplog
):
    def full(*_):
        raise OSError(28, "No space left on device")

    with serve(record=tmp_path) as running:
        monkeypatch.setattr(f"spokestream.pipelines.node.recording.Recorder.{broken}", full)
        peer = connect(running.port).opening().say(*[wire.Data(readout())] * 3, wire.Close())
        heard = peer.hear()
        assert counts(heard) == [3]
        assert texts(heard) == ["WARNING The scan is not recorded (No space left on device).\n"]
    assert "No space left" in caplog.text


def test_a_folder_that_cannot_be_written_ends_the_start_in_a_sentence(serve, tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FileError, match=r"Recordings cannot be written to .*; choose another for --record"),
        serve(record=tmp_path / "file"),
    ):
        pass


def test_connections_that_send_nothing_leave_no_recording(serve, connect, tmp_path, eventually):
    with serve(record=tmp_path) as running:
        peer = connect(running.port)
        running.session()
        assert list(tmp_path.iterdir()) == []
        peer.hang_up()
        eventually(lambda: not running.server._sessions)
        assert list(tmp_path.iterdir()) == []


def test_recordings_are_on_the_disk_at_the_end_of_a_slice_and_private(serve, connect, readout, tmp_path, monkeypatch):
    synced, sync = [], Recorder.sync

    def note(recorder):
        synced.append(recorder.path)
        sync(recorder)

    monkeypatch.setattr(Recorder, "sync", note)
    last = readout()
    last.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
    with serve(record=tmp_path) as running:
        synced.clear()  # the trial at the start
        connect(running.port).opening().say(wire.Data(readout()), wire.Data(last), wire.Close()).hear()
        (path,) = tmp_path.iterdir()
        assert synced == [path]
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_line_sums_up_each_scan(serve, healthy, caplog):
    caplog.set_level(logging.INFO, "spokestream")
    with serve() as running:
        assert healthy(running)
    assert "toy, 3 readouts, 1 images, " in caplog.text


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
        eventually(lambda: running.chains)
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
