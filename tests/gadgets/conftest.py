import logging

import numpy as np
import pytest
from small_scan import MATRIX, short_sequence

from gadgets.scan import ScanContext, ScanHeader


@pytest.fixture
def sequence():
    return short_sequence()


@pytest.fixture
def scan(sequence):
    ny, nx = MATRIX
    header = ScanHeader("", (2 * nx, 2 * ny, 1), (2.0 * nx, 2.0 * ny, 8.0), (nx, ny, 1), (1.0 * nx, 1.0 * ny, 8.0))
    return ScanContext(header, sequence, threads=1, log=logging.getLogger("test"))


@pytest.fixture
def rng():
    return np.random.default_rng(20201120)
