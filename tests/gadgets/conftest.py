import logging

import numpy as np
import pytest
from small_scan import MATRIX, short_sequence

from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis


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


@pytest.fixture(scope="session")
def dictionary():
    """The dictionary of the published train of 1,400 spokes."""
    return build_dictionary(load_sequence("t1ff-2d-1400"))


@pytest.fixture(scope="session")
def basis(dictionary):
    return compressed_basis(dictionary.sequence, dictionary.atoms)
