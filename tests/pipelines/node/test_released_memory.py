"""What a session held is released at its end, not at the next garbage collection."""

import gc
import struct
import weakref

import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.pipelines import wire

ENDINGS = {
    "a good end": lambda peer, readout: peer.say(wire.Close()).hear(),
    "garbage": lambda peer, readout: peer.raw(b"\xff" * 9).hear(),
    "half a readout": lambda peer, readout: peer.raw(struct.pack("<H", 1008) + bytes(100)).hang_up(),
    "a bad readout": lambda peer, readout: peer.say(wire.Data(readout(np.nan))).hear(),
    "a defect": lambda peer, readout: peer.say(wire.Data(readout(666))).hear(),
    "a vanished client": lambda peer, readout: peer.hang_up(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_a_session_releases_chain_readouts_and_received_bytes(ending, serve, connect, readout, eventually):
    held = []

    def hold(selection, header, log):
        chain = Holder()
        held.append(weakref.ref(chain))
        return chain

    class Holder:
        def __init__(self):
            self.items = []

        def feed(self, item):
            self.items.append(item)
            held.append(weakref.ref(item))
            held.append(weakref.ref(item.data))
            value = item.data[0, 0]
            if np.isnan(value):
                try:
                    raise ValueError("first")
                except ValueError:
                    raise ScanError("A readout holds NaN.") from None
            if value == 666:
                raise KeyError("beast")
            return ()

        def finish(self):
            return ()

        def cancel(self):
            pass

        def close(self):
            pass

    with serve(start_scan=hold, drain_s=0.0) as running:
        gc.collect()
        gc.disable()
        try:
            peer = connect(running.port).opening().say(wire.Data(readout()))
            eventually(lambda: len(held) >= 3)
            received = running.session()._channel.wire
            ENDINGS[ending](peer, readout)
            eventually(lambda: not running.server._sessions)
            eventually(lambda: not any(ref() is not None for ref in held))
            assert len(received._target) == 0
        finally:
            gc.enable()
