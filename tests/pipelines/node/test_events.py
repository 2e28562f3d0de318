import socket
import struct

import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.pipelines import wire
from spokestream.pipelines.node.events import (
    ImageSent,
    ReadoutsReceived,
    ScanAdmitted,
    ScanEnded,
    ScanWarned,
    all_of,
)


def refuse(text):
    raise InputError("There is no such pipeline.")


@pytest.fixture
def told():
    return []


def of_type(told, kind):
    return [event for event in told if isinstance(event, kind)]


def test_a_scan_is_told_from_its_header_to_its_end(serve, connect, readout, told):
    with serve(observers=[told.append]) as running:
        peer = connect(running.port).opening().say(wire.Data(readout(7)), wire.Data(readout()))
        peer.say(wire.Close()).hear()
    admitted, *between, ended = told
    assert admitted == ScanAdmitted(ended.session, "toy", "<header/>")
    assert {event.session for event in told} == {ended.session}
    assert of_type(between, ScanWarned) == [ScanWarned(ended.session, "This is a 7.")]
    (sent,) = of_type(between, ImageSent)
    assert np.all(sent.image.data == 2)
    assert all(1 <= event.readouts <= 2 for event in of_type(between, ReadoutsReceived))
    assert (ended.pipeline, ended.outcome, ended.sentence) == ("toy", "finished", "")
    assert (ended.readouts, ended.images) == (2, 1)
    assert 0 <= ended.latency_s <= ended.seconds


def test_a_scan_of_an_empty_configuration_is_told_to_its_end(serve, connect, readout, told):
    with serve(observers=[told.append]) as running:
        peer = connect(running.port).say(wire.ConfigFile(""), wire.Header("<header/>"), wire.Data(readout()))
        peer.say(wire.Close()).hear()
    (ended,) = of_type(told, ScanEnded)
    assert (ended.sentence, ended.outcome, ended.readouts) == ("", "finished", 1)


@pytest.mark.parametrize("config", ["\u202eevil\x9b31m\x85", ""])
def test_a_pipeline_that_a_client_names_is_told_without_control_characters(config, serve, connect, told, eventually):
    with serve(observers=[told.append], select=refuse) as running:
        connect(running.port).say(wire.ConfigFile(config)).hear()
        eventually(lambda: of_type(told, ScanEnded))
    (ended,) = of_type(told, ScanEnded)
    assert ended.outcome == "refused"
    assert ended.pipeline.isprintable()


def test_progress_is_told_while_readouts_come(serve, connect, readout, told, eventually):
    with serve(observers=[told.append]) as running:
        peer = connect(running.port).opening()
        for n in (1, 2, 3):
            peer.say(wire.Data(readout()))
            eventually(lambda n=n: n in [event.readouts for event in of_type(told, ReadoutsReceived)])
        peer.say(wire.Close()).hear()


def test_queued_bytes_are_those_of_readouts_that_wait(serve, connect, readout, eventually):
    with serve() as running:
        running.gate.clear()
        peer = connect(running.port).opening().say(*[wire.Data(readout())] * 3)
        eventually(lambda: running.server.queued_bytes == 3 * (2 + 340 + readout().data.nbytes))
        running.gate.set()
        eventually(lambda: running.server.queued_bytes == 0)
        peer.say(wire.Close()).hear()


ENDINGS = {
    "an unknown pipeline": ("refused", "no pipeline 'nothing'", lambda p, r: p.say(wire.ConfigFile("nothing")).hear()),
    "a bad readout": ("failed", "holds NaN", lambda p, r: p.opening().say(wire.Data(r(np.nan))).hear()),
    "a client that hangs up": ("failed", "", lambda p, r: p.opening().say(wire.Data(r())).hang_up()),
}


@pytest.mark.parametrize("what", ENDINGS)
def test_every_ending_is_told_once_with_its_cause(what, serve, connect, readout, told, eventually):
    outcome, cause, misbehave = ENDINGS[what]
    with serve(observers=[told.append]) as running:
        peer = connect(running.port)
        misbehave(peer, readout)
        eventually(lambda: of_type(told, ScanEnded))
    (ended,) = of_type(told, ScanEnded)
    assert ended.outcome == outcome
    assert ended.sentence
    assert cause in ended.sentence
    assert (ended.images, ended.latency_s) == (0, None)


def test_a_client_that_is_cut_off_ends_its_scan(serve, connect, told, eventually):
    with serve(observers=[told.append]) as running:
        peer = connect(running.port).opening()
        eventually(lambda: of_type(told, ScanAdmitted))
        # the node then receives an error instead of the end of the stream
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.hang_up()
        eventually(lambda: of_type(told, ScanEnded))
    (ended,) = of_type(told, ScanEnded)
    assert (ended.outcome, ended.sentence) == ("failed", "The client vanished after 0 readouts.")


def test_a_node_that_stops_says_so(serve, connect, readout, told, eventually):
    with serve(observers=[told.append], grace_s=0) as running:
        connect(running.port).opening().say(wire.Data(readout()))
        eventually(lambda: of_type(told, ReadoutsReceived))
    assert [event.outcome for event in of_type(told, ScanEnded)] == ["stopped"]


def test_a_refused_scan_is_told_while_the_node_is_busy(serve, connect, told, eventually):
    with serve(observers=[told.append], max_sessions=1) as running:
        connect(running.port).opening()
        eventually(lambda: of_type(told, ScanAdmitted))
        connect(running.port).opening().hear()
        (ended,) = of_type(told, ScanEnded)
        assert (ended.outcome, ended.readouts) == ("refused", 0)
        assert "busy with 1 scans" in ended.sentence


@pytest.mark.parametrize("text", ["gadgetron::info", "ismrmrd::version"])
def test_a_query_is_no_scan(text, serve, connect, told):
    with serve(observers=[told.append]) as running:
        connect(running.port).say(wire.Query(1, text), wire.Close()).hear()
    assert told == []


def test_an_observer_with_a_defect_ends_no_scan(serve, connect, readout, told, caplog):
    def broken(event):
        raise KeyError("beast")

    with serve(observers=[broken, told.append]) as running:
        heard = connect(running.port).opening().say(wire.Data(readout()), wire.Close()).hear()
    assert [event for event in heard if isinstance(event, wire.Text)] == []
    assert of_type(told, ScanEnded)[0].outcome == "finished"
    assert "An observer of scan" in caplog.text


def test_observers_are_told_in_their_order():
    told = []
    tell = all_of(lambda event: told.append(("first", event)), lambda event: told.append(("second", event)))
    tell(ReadoutsReceived("ab", 1))
    assert [name for name, _ in told] == ["first", "second"]
