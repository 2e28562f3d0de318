"""Conjugation at the head, and the check that finds conjugate samples from fingerprints."""

from dataclasses import replace

import ismrmrd
import numpy as np
import pytest
import torch
from small_scan import complex_normal

from spokestream.gadgets.conjugation import Conjugation
from spokestream.gadgets.conjugation_check import ConjugationCheck
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

SHAPE = (16, 17)


@pytest.fixture
def closed_form(dictionary, basis):
    return WATER_FAT.closed_form(dictionary.sequence, basis)


@pytest.fixture
def fingerprints(closed_form, basis):
    """A slice of half fat, all over the field of view but the rim."""
    n = int(np.prod(SHAPE))
    values = (0.5, 1200.0, 330.0, 0.0, 0.9)
    signal = closed_form.at(*(torch.full((n,), value) for value in values))[0].numpy() * basis.noise
    brightness = np.linspace(1, 2, n)[:, None]  # not symmetric
    data = (brightness * signal).T.reshape(-1, *SHAPE).astype(np.complex64)
    foreground = np.zeros(SHAPE, bool)
    foreground[2:12, 1:9] = True
    return Fingerprints(data, basis, foreground, 0, NOWHERE)


def conjugate_of(fingerprints):
    """The fingerprints of the conjugate samples; pixel 0 of an even axis has no partner."""

    def mirror(x):
        return np.roll(x[..., ::-1, ::-1], (1, 0), (-2, -1))

    return Fingerprints(
        mirror(fingerprints.data).conj(), fingerprints.basis, mirror(fingerprints.foreground), 0, NOWHERE
    )


def test_conjugation_conjugates_all_readouts(scan, rng):
    data = complex_normal(rng, 2, 5)
    (out,) = Conjugation(scan).feed(ismrmrd.Acquisition.from_array(data))
    np.testing.assert_array_equal(out.data, data.conj())
    assert scan.provenance["conjugation"] == "samples conjugated, as set"


def test_good_fingerprints_are_passed_on_unchanged(scan, closed_form, fingerprints, caplog):
    (out,) = ConjugationCheck(scan, closed_form).feed(fingerprints)
    assert out is fingerprints
    assert caplog.records == []
    assert "conjugation" not in scan.provenance


def test_conjugate_fingerprints_are_restored_with_one_warning_and_so_are_those_of_later_slices(
    scan, closed_form, fingerprints, caplog
):
    check, conjugate = ConjugationCheck(scan, closed_form), conjugate_of(fingerprints)
    for _ in range(2):
        (out,) = check.feed(conjugate)
        np.testing.assert_array_equal(out.data, fingerprints.data)
        np.testing.assert_array_equal(out.foreground, fingerprints.foreground)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "conjugate=yes" in warning
    assert "conjugated and mirrored" in scan.provenance["conjugation"]


def test_the_images_of_the_adjoint_are_conjugated_and_mirrored_beside_iterative_ones(scan, closed_form, fingerprints):
    conjugate = conjugate_of(fingerprints)
    (out,) = ConjugationCheck(scan, closed_form).feed(replace(conjugate, adjoint=conjugate))
    np.testing.assert_array_equal(out.data, fingerprints.data)
    np.testing.assert_array_equal(out.adjoint.data, fingerprints.data)
    np.testing.assert_array_equal(out.adjoint.foreground, fingerprints.foreground)


def test_the_operator_of_samples_that_are_conjugates_is_dropped_with_a_warning(scan, closed_form, fingerprints, caplog):
    operator = object()
    (same,) = ConjugationCheck(scan, closed_form).feed(replace(fingerprints, operator=operator))
    assert same.operator is operator
    assert "images" not in scan.provenance
    (out,) = ConjugationCheck(scan, closed_form).feed(replace(conjugate_of(fingerprints), operator=operator))
    assert out.operator is None
    assert scan.provenance["images"] == "adjoint, because the samples are conjugates"
    assert "Slice 1: its images were not made consistent" in caplog.text


def test_a_slice_of_little_tissue_decides_nothing(scan, closed_form, fingerprints):
    check, conjugate = ConjugationCheck(scan, closed_form), conjugate_of(fingerprints)
    little = np.zeros(SHAPE, bool)
    little[5, 5] = True
    empty = Fingerprints(conjugate.data, conjugate.basis, little, 0, NOWHERE)
    assert list(check.feed(empty)) == [empty]
    (out,) = check.feed(conjugate)
    np.testing.assert_array_equal(out.foreground, fingerprints.foreground)


def test_a_slice_without_some_frames_is_compared_in_its_own_basis(scan, closed_form, fingerprints, basis):
    fewer = basis.without([3, 4, 170])
    through = closed_form.through(fewer)
    values = (0.5, 1200.0, 330.0, 0.0, 0.9)
    n = int(np.prod(SHAPE))
    signal = through.at(*(torch.full((n,), value) for value in values))[0].numpy() * fewer.noise
    data = signal.T.reshape(-1, *SHAPE).astype(np.complex64).conj()
    (out,) = ConjugationCheck(scan, closed_form).feed(Fingerprints(data, fewer, fingerprints.foreground, 0, NOWHERE))
    assert "conjugation" in scan.provenance
    np.testing.assert_array_equal(out.data[:, 4, 4], data[:, 12, 12].conj())


def test_a_slice_of_noise_leaves_the_decision_to_the_next(scan, closed_form, fingerprints, rng):
    check = ConjugationCheck(scan, closed_form)
    noise = replace(fingerprints, data=complex_normal(rng, *fingerprints.data.shape))
    assert list(check.feed(noise)) == [noise]
    (out,) = check.feed(conjugate_of(fingerprints))
    np.testing.assert_array_equal(out.data, fingerprints.data)
