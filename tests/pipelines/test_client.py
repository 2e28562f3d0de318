import socket
import struct
import threading

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.pipelines import wire
from spokestream.pipelines.client import ClientError, scanner_pace, send_scan


def counts(reply):
    return [int(image.data.flat[0]) for image in reply.images]


@pytest.fixture
def one_shot_server():
    """A server that answers the first client with given bytes, then hangs up."""
    listeners = []

    def make(answer, read_all=False):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            client, _ = listener.accept()
            with client:
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        listeners.append((listener, thread))
        return listener.getsockname()[1]

    yield make
    for listener, thread in listeners:
        thread.join()
        listener.close()


def test_a_scan_comes_back_as_images(serve, readout):
    heard = []
    with serve() as running:
        parameters = {"every": "2"}
        reply = send_scan(
            "<a/>", [readout()] * 5, port=running.port, config="toy", parameters=parameters, on_event=heard.append
        )
    assert counts(reply) == [2, 4, 5]
    assert reply.images[0].meta == {"count": "2"}
    assert reply.texts == []
    assert [type(event) for event in heard] == [wire.Data, wire.Data, wire.Data, wire.Close]
    assert reply.seconds_from_last_spoke_to_last_image > 0


def test_it_listens_while_it_sends(serve, readout):
    """The second readout is sent only when the image of the first has come."""
    came = threading.Event()

    def items():
        yield readout()
        came.wait()
        yield readout()

    with serve() as running:
        reply = send_scan(
            "<a/>",
            items(),
            port=running.port,
            config="toy",
            parameters={"every": "1"},
            on_event=lambda event: came.set(),
        )
    assert counts(reply) == [1, 2, 2]


@pytest.mark.parametrize("pace", [[0.1, 0.0, 0.05, 9.0], lambda i: (0.1, 0.0, 0.05, 9.0)[i]])
def test_a_paced_scan_takes_its_time_but_does_not_wait_after_the_last_item(serve, readout, pace, monkeypatch):
    waits = []
    clock = [100.0]

    def wait(event, seconds=None):
        if seconds is None:
            return real_wait(event)
        waits.append(round(seconds, 6))
        clock[0] += seconds
        return event.is_set()

    real_wait = threading.Event.wait
    with serve() as running, monkeypatch.context() as patch:
        patch.setattr("spokestream.pipelines.client.time.monotonic", lambda: clock[0])
        patch.setattr("threading.Event.wait", wait)
        reply = send_scan("<a/>", [readout()] * 4, port=running.port, config="toy", pace=pace)
    assert counts(reply) == [4]
    assert waits == [0, 0.1, 0, 0.05]


def test_a_refused_scan_is_an_error_in_the_words_of_the_server(serve, readout):
    with serve() as running:
        with pytest.raises(ClientError, match=r"The server says: There is no pipeline 'mrf'; known are: toy\."):
            send_scan("<a/>", [readout()], port=running.port, config="mrf")
        with pytest.raises(ClientError, match="holds NaN"):
            send_scan("<a/>", [readout(np.nan)] + [readout()] * 3, port=running.port, config="toy")


def test_a_failure_in_mid_scan_stops_the_sending(serve, readout):
    sent = []

    def endless():
        yield readout(np.nan)
        while True:
            sent.append(1)
            yield readout()

    with serve() as running, pytest.raises(ClientError, match="holds NaN"):
        send_scan("<a/>", endless(), port=running.port, config="toy")


def test_xml_is_sent_as_configuration_text(serve, readout):
    with serve() as running, pytest.raises(ClientError, match="no pipeline '<configuration/>'"):
        send_scan("<a/>", [readout()], port=running.port, config="<configuration/>")


def test_no_server_is_an_error_in_words():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ClientError, match=f"Cannot reach 127.0.0.1 port {port} .*is `spokestream serve` running"):
        send_scan("<a/>", [], host="127.0.0.1", port=port)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"", "hung up after 0 images: The stream ended without CLOSE"),
        (struct.pack("<HI", 5, 9) + b"half", "ended without CLOSE"),
        (struct.pack("<H", 77), "77 is no message id"),
        (struct.pack("<HI", 5, 6) + b"ERROR ", "The server says"),
    ],
)
def test_a_server_that_breaks_off_is_an_error(one_shot_server, readout, answer, complaint):
    with pytest.raises(ClientError, match=complaint):
        send_scan("<a/>", [readout()], host="127.0.0.1", port=one_shot_server(answer))


def test_a_silent_server_is_an_error(readout):
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ClientError, match="said nothing for"):
        send_scan("<a/>", [readout()], host="127.0.0.1", port=listener.getsockname()[1], timeout_s=0.1)


def test_a_server_that_does_not_read_is_an_error(readout):
    big = [readout(channels=64, samples=8192)] * 20  # 84 MB
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ClientError, match="took nothing for"):
        send_scan("<a/>", big, host="127.0.0.1", port=listener.getsockname()[1], timeout_s=0.2)


def test_what_cannot_be_sent_is_an_error_and_ends_the_session(serve, eventually):
    with serve() as running:
        with pytest.raises(ClientError, match="A str cannot be sent"):
            send_scan("<a/>", ["no readout"], port=running.port, config="toy")
        eventually(lambda: not running.server._sessions)


def test_an_error_in_the_scan_file_is_passed_on(serve):
    class Damaged:
        def __iter__(self):
            raise OSError("the file is damaged")

    with serve() as running, pytest.raises(OSError, match="the file is damaged"):
        send_scan("<a/>", Damaged(), port=running.port, config="toy")


def test_the_scanners_pace_follows_its_time_stamps():
    def at(ticks):
        return ismrmrd.Acquisition.from_array(np.zeros((1, 2), np.complex64), acquisition_time_stamp=ticks)

    pace = scanner_pace([at(100), at(104), at(104), at(4), at(4_000_000)], speed=2.0)
    assert pace == [0.005, 0.0, 0.0, 30.0, 0.0]
    with pytest.raises(InputError, match="positive"):
        scanner_pace([at(1)], 0)
