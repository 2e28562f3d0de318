"""The gadget of consistent images: which messages it changes, and what it leaves of them."""

from dataclasses import replace

import numpy as np
import pytest
from exact_samples import SHAPE, ExactSamples

from spokestream.gadgets.consistency import Consistency
from spokestream.gadgets.messages import NOWHERE, Fingerprints, ParameterMaps
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

VALUES = {"ff": 0.3, "t1h2o": 1200.0, "t1fat": 330.0, "deltaf": 20.0, "b1": 0.8}


@pytest.fixture
def samples(rng):
    return ExactSamples(rng, dwell_us=10.0)


@pytest.fixture
def message(rng, samples):
    """Maps of one tissue, of which one voxel has no number, and fingerprints that are noise."""
    noise = rng.standard_normal((len(samples.basis.te_ms), *SHAPE)).astype(np.complex64)
    fingerprints = Fingerprints(noise, samples.basis, samples.tissue, 2, NOWHERE, operator=samples.operator())
    maps = {name: np.where(samples.tissue, value, 0).astype(np.float32) for name, value in VALUES.items()}
    maps["ff"][7, 7] = np.nan
    return ParameterMaps(maps, 2, NOWHERE, samples.tissue, fingerprints)


@pytest.fixture
def gadget(scan, samples):
    return Consistency(scan, WATER_FAT.closed_form(samples.sequence, samples.basis), 200.0)


def test_maps_stay_and_the_images_of_the_adjoint_remain_beside_the_new_ones(gadget, message):
    (out,) = gadget.feed(message)
    assert out.maps is message.maps
    assert out.fingerprints.operator is None
    before = replace(message.fingerprints, operator=None)
    assert out.fingerprints.adjoint == before
    mask = message.foreground.copy()
    mask[7, 7] = False
    assert not out.fingerprints.data[:, ~mask].any()
    assert (out.fingerprints.data != before.data)[:, mask].all()


def test_the_efficiency_of_the_slice_counts(gadget, message):
    images = [next(gadget.feed(replace(message, inversion_efficiency=e))).fingerprints.data for e in (None, 1.0, 0.9)]
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


def test_messages_without_operator_or_without_the_map_of_a_parameter_are_passed_on_unchanged(gadget, message):
    maps = {name: values for name, values in message.maps.items() if name != "b1"}
    for other in (
        replace(message, fingerprints=None),
        replace(message, fingerprints=replace(message.fingerprints, operator=None)),
        replace(message, maps=maps),
    ):
        assert list(gadget.feed(other)) == [other]
