"""Dictionaries of one pool: signals, their projections, and what is refused."""

import numpy as np
import pytest
from small_scan import short_sequence

from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import frame_basis

SEQUENCE = short_sequence()
VALUES = {"t1": np.arange(5000.0)}


@pytest.fixture
def few(rng):
    """Atoms that are sums of four vectors: the dictionary of the vectors, and that of all spokes."""
    coefficients, vectors = rng.standard_normal((5000, 4)), rng.standard_normal((len(SEQUENCE), 4))
    return (
        OnePoolDictionary(SEQUENCE, VALUES, coefficients, vectors),
        OnePoolDictionary(SEQUENCE, VALUES, coefficients @ vectors.T),
    )


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_atoms_of_few_vectors_are_those_of_every_spoke(few):
    of_vectors, whole = few
    np.testing.assert_allclose(of_vectors.atoms, whole.atoms)
    np.testing.assert_allclose(of_vectors.signals(slice(3, 90, 7)), whole.atoms[3:90:7])
    basis = frame_basis(SEQUENCE)
    np.testing.assert_allclose(of_vectors.in_basis(basis), basis.project(whole.atoms), atol=1e-12)
    np.testing.assert_array_equal(whole.in_basis(basis), basis.project(whole.atoms))


def test_the_digest_names_values_coefficients_and_vectors(few):
    of_vectors, whole = few
    others = [
        whole,
        OnePoolDictionary(SEQUENCE, VALUES, of_vectors.coefficients, 2 * of_vectors.vectors),
        OnePoolDictionary(SEQUENCE, VALUES, 2 * of_vectors.coefficients, of_vectors.vectors),
        OnePoolDictionary(SEQUENCE, {"t1": 2 * VALUES["t1"]}, of_vectors.coefficients, of_vectors.vectors),
    ]
    assert len({dictionary.digest for dictionary in (of_vectors, *others)}) == 5


def test_shapes_that_do_not_belong_together_are_refused(rng):
    with pytest.raises(ValueError, match="atoms and spokes"):
        OnePoolDictionary(SEQUENCE, VALUES, rng.standard_normal((4999, len(SEQUENCE))))
    with pytest.raises(ValueError, match="atoms and spokes"):
        OnePoolDictionary(SEQUENCE, VALUES, rng.standard_normal((5000, 4)))
    with pytest.raises(ValueError, match="vectors of 79 spokes for a sequence of 80"):
        OnePoolDictionary(SEQUENCE, VALUES, rng.standard_normal((5000, 4)), rng.standard_normal((79, 4)))
