import pytest
from heard import counts, texts

from spokestream.pipelines import wire


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
