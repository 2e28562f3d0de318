"""A header with several encodings: the first spoke names the one that counts."""

import logging

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.messages import LeftOut
from spokestream.gadgets.scan.cancellation import Cancellation, CancelledScanError
from spokestream.pipelines.encoding_choice import ChainOfFirstEncoding

LOG = logging.getLogger("test")


class Collector(Gadget):
    accepts = (object,)

    def __init__(self):
        self.closed = False

    def feed(self, message):
        yield message

    def finish(self):
        yield "end"

    def close(self):
        self.closed = True


def readout(encoding, *flags):
    out = ismrmrd.Acquisition.from_array(np.ones((1, 4), np.complex64))
    out.encoding_space_ref = encoding
    for flag in flags:
        out.set_flag(flag)
    return out


def test_the_chain_is_that_of_the_first_spoke_and_noise_waits_for_it(caplog):
    built, collector = [], Collector()

    def build(encoding):
        built.append(encoding)
        return Chain([collector])

    chain = ChainOfFirstEncoding(build, LOG)
    noise, first, other = readout(0, ismrmrd.ACQ_IS_NOISE_MEASUREMENT), readout(1), readout(0)
    assert list(chain.feed(noise)) == []
    assert built == []
    with caplog.at_level(logging.WARNING):
        got = [m for message in (first, other, noise, first) for m in chain.feed(message)]
        got += chain.finish()
    assert built == [1]
    assert got == [noise, first, LeftOut(other.scan_counter), noise, first, "end"]
    assert "1 readouts of other encodings than encoding 2 were left out" in caplog.text
    chain.close()
    assert collector.closed


def test_readouts_before_the_first_spoke_wait_in_bounded_memory(monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.encoding_choice.MOST_WAITING_BYTES", 20 * 1024)
    chain = ChainOfFirstEncoding(lambda encoding: Chain([Collector()]), LOG)
    noise = readout(0, ismrmrd.ACQ_IS_NOISE_MEASUREMENT)  # 32 bytes of samples
    for _ in range(19):
        list(chain.feed(noise))
    with pytest.raises(ScanError, match="came before the first spoke, which says"):
        list(chain.feed(noise))
    chain.close()


def test_a_scan_without_spokes_is_refused():
    chain = ChainOfFirstEncoding(lambda encoding: Chain([Collector()]), LOG)
    list(chain.feed(readout(0, ismrmrd.ACQ_IS_NOISE_MEASUREMENT)))
    with pytest.raises(ScanError, match="no spokes"):
        list(chain.finish())


def test_cancelling_reaches_the_computations_of_the_chain_that_was_built():
    of_scan = Cancellation()
    chain = ChainOfFirstEncoding(lambda encoding: Chain([Collector()], of_scan), LOG)
    list(chain.feed(readout(0)))
    of_scan.check()  # nothing is cancelled yet
    chain.cancel()
    with pytest.raises(CancelledScanError):
        of_scan.check()
    with pytest.raises(CancelledScanError):
        list(chain.feed(readout(0)))
    chain.close()
