"""A test host that speaks Gadgetron's side to an external module, and starts one as Gadgetron does."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from spokestream.pipelines import wire
from spokestream.pipelines.installation.gadgetron_xml import gadgetron_xml

ROOT = Path(__file__).parents[2]


class Host:
    """Speaks Gadgetron's side to one module."""

    def __init__(self, sock):
        sock.settimeout(60)
        self.socket, self.wire, self.heard = sock, wire.Connection(wire.Role.PARENT), []

    def say(self, *events):
        for event in events:
            self.socket.sendall(b"".join(self.wire.send(event)))
        return self

    def hear(self):
        """Everything up to CLOSE."""
        while self.wire.their_state is wire.State.STREAMING:
            self.heard += self.wire.receive_data(self.socket.recv(1 << 16))
        return self.heard


def external_of(xml):
    """The element of the external module in a configuration file."""
    return ElementTree.fromstring(xml).find("stream/external")


def configuration_of(xml):
    """What Gadgetron sends to the module as its configuration."""
    return ElementTree.tostring(external_of(xml).find("configuration"), "unicode").strip()


@contextmanager
def module_process(pipeline="mrf_t1ff"):
    """`python -m gadgetron PORT MODULE TARGET`, as Gadgetron starts it from the printed configuration file."""
    execute = external_of(gadgetron_xml(pipeline)).find("execute")
    with socket.create_server(("localhost", 0)) as listener:
        command = [
            sys.executable,
            "-m",
            "gadgetron",
            str(listener.getsockname()[1]),
            execute.get("name"),
            execute.get("target"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                sock, _ = listener.accept()
                with sock:
                    yield Host(sock), process
            finally:
                process.kill()
