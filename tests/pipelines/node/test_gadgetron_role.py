"""A server to which a Gadgetron connects as to an external module: no text is sent, and failures are ERRORs."""

import logging
import socket

import ismrmrd
import pytest
from gadgetron_host import Host, configuration_of

from spokestream.errors import InputError
from spokestream.pipelines import wire
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.gadgetron_texts import configuration, for_gadgetron
from spokestream.pipelines.installation.gadgetron_xml import gadgetron_xml
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture
def host(serve):
    """The side of a Gadgetron."""
    with (
        serve(role="gadgetron", max_connections_per_address=1) as running,
        socket.create_connection(("127.0.0.1", running.port)) as sock,
    ):
        yield Host(sock)


OPENING = wire.ConfigText("toy"), wire.Header("<header/>")


def test_warnings_are_not_sent(host, readout):
    heard = host.say(*OPENING, wire.Data(readout(7)), wire.Data(readout()), wire.Close()).hear()
    assert [type(event) for event in heard] == [wire.Data, wire.Close]
    assert int(heard[0].item.data.flat[0]) == 2


def test_a_failure_is_an_error_without_percent_signs(host, readout):
    heard = host.say(*OPENING, wire.Data(readout(50))).hear()
    assert heard == [wire.ErrorText("50 percentn are percents."), wire.Close()]


def test_a_crowded_node_says_so_in_the_same_way(host):
    host.say(wire.ConfigText("toy"))
    with socket.create_connection(host.socket.getpeername()) as sock:
        (error, close) = Host(sock).hear()
    assert "connections of this address" in error.text
    assert isinstance(error, wire.ErrorText)
    assert isinstance(close, wire.Close)


def test_a_module_without_configuration_gets_a_bare_declaration():
    assert configuration('<?xml version="1.0" ?>\n') == ""
    assert configuration("<configuration/>") == "<configuration/>"


def test_images_that_gadgetron_cannot_read_are_refused():
    assert for_gadgetron(select("mrf_t1ff")).name == "mrf_t1ff"
    with pytest.raises(InputError, match="does not know int16"):
        for_gadgetron(select("mrf_t1ff").with_parameters({"datatype": "int16"}))


def test_a_gadgetron_with_the_printed_file_gets_the_images_of_the_chain(serve, tmp_path):
    simulate_scan(
        tmp_path / "scan.h5", SimulationSettings(anatomy="brain", matrix=48, coils=4, sequence="fisp-song-200")
    )
    scan = read_scan(tmp_path / "scan.h5")
    xml = gadgetron_xml("mrf_t1t2", "connect", parameters={"virtual_coils": "3"})
    chosen = select("mrf_t1t2").with_parameters({"virtual_coils": "3"})
    expected = [
        item.data.tobytes()
        for item in run_chain(start_scan(chosen, scan.xml, logging.getLogger("test")), scan)
        if isinstance(item, ismrmrd.Image)
    ]
    with (
        serve(start_scan, select=lambda text: for_gadgetron(select(configuration(text))), role="gadgetron") as running,
        socket.create_connection(("127.0.0.1", running.port)) as sock,
    ):
        gadgetron = Host(sock).say(wire.ConfigText(configuration_of(xml)), wire.Header(scan.xml))
        *images, close = gadgetron.say(*map(wire.Data, scan), wire.Close()).hear()
    assert isinstance(close, wire.Close)
    assert [event.item.data.tobytes() for event in images] == expected
    assert len(expected) == 8
