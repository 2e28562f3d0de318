"""The Gadgetron child, run by an emulated Gadgetron: the real package, the real process, the real socket."""

import socket
import struct
import threading
from contextlib import contextmanager

import gadgetron.external
import ismrmrd
import numpy as np
import pytest
from gadgetron_host import Host, configuration_of, module_process

from spokestream.pipelines import external, wire
from spokestream.pipelines.installation.gadgetron_xml import gadgetron_xml

HEADER = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<experimentalConditions><H1resonanceFrequency_Hz>123200000</H1resonanceFrequency_Hz></experimentalConditions>
</ismrmrdHeader>"""


def test_a_failure_reaches_gadgetron_as_an_error_and_a_close():
    with module_process() as (host, process):
        host.say(wire.ConfigText("<configuration/>"), wire.Header(HEADER))
        heard = host.hear()
        host.say(wire.Close())
        assert [type(event) for event in heard] == [wire.ErrorText, wire.Close]
        assert "no <encoding>" in heard[0].text
        assert host.socket.recv(1) == b""  # one CLOSE, not two
        assert process.wait() == 0
        assert "Traceback" not in process.stderr.read()


def test_gadgetron_vanishing_ends_the_process():
    with module_process() as (host, process):
        host.say(wire.ConfigText("<configuration/>"), wire.Header(HEADER))
        host.socket.close()
        assert process.wait() == 0


def test_int16_is_refused_before_the_scan():
    with module_process() as (host, process):
        config = configuration_of(gadgetron_xml("mrf_t1ff", parameters={"datatype": "int16"}))
        heard = host.say(wire.ConfigText(config), wire.Header(HEADER)).hear()
        assert "does not know int16; set the parameter datatype to uint16 or float32" in heard[0].text
        host.say(wire.Close())
        assert process.wait() == 0


def test_a_module_without_configuration_takes_its_target():
    with module_process("mrf_t1ff") as (host, process):
        heard = host.say(wire.ConfigText('<?xml version="1.0"?>\n'), wire.Header(HEADER)).hear()
        assert "no <encoding>" in heard[0].text  # of the header, not of the configuration
        host.say(wire.Close())
        assert process.wait() == 0


def test_an_empty_configuration_is_none():
    with module_thread() as host:
        heard = host.say(wire.ConfigText(""), wire.Header(HEADER)).hear()
        assert "no <encoding>" in heard[0].text


@contextmanager
def module_thread():
    """The module in a thread of this process; started as the package's `__main__` does."""
    ours, theirs = socket.socketpair()
    host = Host(ours)

    def run():
        with gadgetron.external.Connection(theirs) as connection:
            external.mrf_t1ff(connection)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield host
    finally:
        ours.close()
        thread.join()


@pytest.fixture
def toy_module(toy_chains):
    """The module in a thread, with a toy chain."""
    with module_thread() as host:
        host.say(wire.ConfigText("<configuration/>"), wire.Header(HEADER))
        yield host
    assert all(chain.closed for chain in toy_chains)


def images(events):
    return [e.item for e in events if isinstance(e, wire.Data) and isinstance(e.item, ismrmrd.Image)]


def test_a_scan_gives_its_images_downstream_and_one_close(toy_module, readout):
    toy_module.say(*[wire.Data(readout())] * 5, wire.Close())
    heard = toy_module.hear()
    assert [image.data.flat[0] for image in images(heard)] == [5]
    assert images(heard)[0].meta == {"count": "5"}
    assert toy_module.socket.recv(1) == b""  # one CLOSE, not two


def test_what_the_chain_does_not_take_goes_downstream(toy_module, readout):
    waveform = ismrmrd.Waveform.from_array(np.arange(4, dtype=np.uint32).reshape(1, 4))
    heard = toy_module.say(wire.Data(waveform), wire.Data(readout()), wire.Close()).hear()
    assert heard[0] == wire.Data(waveform)
    assert len(images(heard)) == 1


def test_warnings_stay_out_of_the_stream(toy_module, readout, caplog):
    heard = toy_module.say(wire.Data(readout(7)), wire.Close()).hear()
    assert [type(event) for event in heard] == [wire.Data, wire.Close]
    assert "This is a 7." in caplog.text


@pytest.mark.parametrize(("value", "complaint"), [(np.nan, "holds NaN"), (666, "please report it (KeyError")])
def test_a_failing_chain_is_told_while_gadgetron_goes_on_writing(toy_module, readout, value, complaint):
    big = wire.Data(readout(channels=16, samples=8192))
    toy_module.say(wire.Data(readout(value)), *[big] * 40, wire.Close())  # 42 MB: deadlock unless it is drained
    heard = toy_module.hear()
    assert [type(event) for event in heard] == [wire.ErrorText, wire.Close]
    assert complaint in heard[0].text


def test_gadgetron_gets_no_printf_format(toy_module, readout, caplog):
    heard = toy_module.say(wire.Data(readout(50)), wire.Close()).hear()
    assert heard[0].text == "50 percentn are percents."
    assert "50 percentn are percents." in caplog.text
    assert "%" not in caplog.text


def test_garbage_is_told_and_drained(toy_module, readout):
    toy_module.socket.sendall(struct.pack("<H", 1023) + bytes(10_000_000))
    heard = toy_module.hear()
    assert [type(event) for event in heard] == [wire.ErrorText, wire.Close]
    assert "RECONDATA" in heard[0].text


def test_gadgetron_hanging_up_without_close_is_no_success(toy_module, readout):
    toy_module.say(wire.Data(readout()))
    toy_module.socket.shutdown(socket.SHUT_WR)
    heard = toy_module.hear()
    assert "ended without CLOSE" in heard[0].text
