"""The process of scans, here in a thread, with a toy pipeline."""

import json
import socket
import threading
import time
from contextlib import suppress

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.workers import child, feed
from spokestream.pipelines.node.workers.link import READY, node_end, object_bytes, receive_object


class Chain:
    """An image that holds the number of readouts; it waits at the readouts of value 2 until it is cancelled."""

    def __init__(self, selection, header_xml, log):
        if selection == "unknown":
            raise ScanError("There is no such pipeline.")
        log.info("begins with %s", header_xml)
        self.n, self.cancelled = 0, threading.Event()

    def feed(self, item):
        self.n += 1
        if item.data[0, 0] == 2:
            assert self.cancelled.wait(20)
            raise ScanError("cancelled")
        if item.data[0, 0] == 3:
            raise KeyError("beast")
        yield item

    def finish(self):
        image = np.full((1, 1, 2, 3), self.n, np.uint32)
        yield ismrmrd.Image(head=ismrmrd.ImageHeader(data_type=3), data=image)

    def cancel(self):
        self.cancelled.set()

    def close(self):
        pass


class Node:
    """The node's side of a process that runs in a thread."""

    def __init__(self):
        self.control, theirs = socket.socketpair()
        self.control.settimeout(20)
        self.chains = []
        self.thread = threading.Thread(target=self._serve, args=[theirs])
        self.thread.start()

    def _serve(self, control):
        def start(*scan):
            self.chains.append(Chain(*scan))
            return self.chains[-1]

        with control, suppress(OSError):
            child.serve_scans(control, start)

    def is_ready(self):
        return self.control.recv(100) == f"{READY}\n".encode()

    def scan(self, selection="toy"):
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        with theirs:
            socket.send_fds(self.control, [b"s"], [theirs.fileno()])
        ours.sendall(object_bytes((selection, "<header/>")))
        return ScanSocket(ours)


class ScanSocket:
    def __init__(self, sock):
        self.socket, self.wire = sock, node_end()

    def say(self, *events):
        for event in events:
            self.socket.sendall(b"".join(self.wire.send(event)))
        return self

    def hear(self):
        """Everything up to the end: images, and texts as objects."""
        events = []
        with self.socket:
            while data := self.socket.recv(1 << 16):
                events += self.wire.receive_data(data)
        images = [event.item for event in events if isinstance(event, wire.Data)]
        texts = [json.loads(event.text) for event in events if isinstance(event, wire.Text)]
        return images, texts


@pytest.fixture
def node():
    node = Node()
    yield node
    node.control.close()
    node.thread.join()


def readout(value=1, channels=2, samples=5):
    return wire.Data(ismrmrd.Acquisition.from_array(np.full((channels, samples), value, np.complex64)))


def test_one_scan_after_another_gives_its_images_and_its_log(node):
    for n in (3, 5):
        assert node.is_ready()
        images, texts = node.scan().say(*[readout()] * n, wire.Close()).hear()
        assert [int(image.data.flat[0]) for image in images] == [n]  # and not the readouts that the chain passes on
        assert texts == [{"level": 20, "line": "begins with <header/>"}, {}]
    assert node.is_ready()


def test_an_error_for_people_is_sent_and_the_next_scan_is_taken(node):
    assert node.is_ready()
    assert node.scan("unknown").hear() == ([], [{"error": "There is no such pipeline."}])
    assert node.is_ready()


def test_a_defect_is_sent_with_its_traceback_and_ends_the_process(node):
    assert node.is_ready()
    images, texts = node.scan().say(readout(3)).hear()
    assert images == []
    assert texts[-1]["defect"] == "KeyError: 'beast'"
    assert "in feed" in texts[-1]["traceback"]
    assert node.control.recv(100) == b""


@pytest.mark.parametrize("more", [0, 40])
def test_a_scan_is_cancelled_when_the_node_hangs_up(node, more):
    """Also while so much waits that nothing is received any more."""
    assert node.is_ready()
    scan = node.scan().say(readout(2))
    while not (node.chains and node.chains[0].n):
        time.sleep(0.005)
    big = readout(1, 32, 2048)
    scan.socket.settimeout(0.5)
    try:
        scan.say(*[big] * more)
    except TimeoutError:
        assert more  # 20 MiB do not fit into the feed and the buffer of the socket
    else:
        assert not more
    scan.socket.close()
    assert node.is_ready()
    assert node.chains[0].cancelled.is_set()
    images, _ = node.scan().say(readout(), wire.Close()).hear()
    assert len(images) == 1


def test_few_items_wait_in_the_process(monkeypatch, node):
    held, take = [], feed.Feed._take

    def watched(self, event):
        take(self, event)
        held.append(self._held)

    monkeypatch.setattr(feed.Feed, "_take", watched)
    assert node.is_ready()
    big = readout(1, 32, 2048)
    scan = node.scan()
    sender = threading.Thread(target=scan.say, args=[*[big] * 40, wire.Close()])
    sender.start()
    images, _ = scan.hear()
    sender.join()
    assert int(images[0].data.flat[0]) == 40
    assert max(held) <= feed.CAPACITY


def test_an_object_that_ends_too_early_is_an_error():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(object_bytes("selection")[:-1])
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError, match="closed"):
            receive_object(theirs)


def test_nothing_runs_after_the_scan(node):
    assert node.is_ready()
    node.scan().say(wire.Close()).hear()
    assert node.is_ready()
    deadline = time.monotonic() + 10
    while any(thread.name == "feed" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name == "feed"]
