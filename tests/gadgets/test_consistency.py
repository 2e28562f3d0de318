"""The gadget of consistent images: which messages it changes, and what it leaves of them."""

from dataclasses import replace

import numpy as np
import pytest
from exact_samples import SHAPE, ExactSamples

from spokestream.gadgets.consistency import Consistency
from spokestream.gadgets.imaging.sample_operator import SampleSpread
from spokestream.gadgets.messages import NOWHERE, Fingerprints, ParameterMaps, SpokeBlock
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT
from spokestream.simulator.physics.trajectory import radial_spokes

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


class Recorder:
    """In the place of a refinement: what it was asked to refine."""

    def __init__(self):
        self.asked = []

    def refined(self, message, *, anew=False):
        self.asked.append(anew)
        return message


@pytest.fixture
def refinement():
    return Recorder()


@pytest.fixture
def gadget(scan, samples, refinement):
    return Consistency(scan, WATER_FAT.closed_form(samples.sequence, samples.basis), 200.0, refinement, anew=True)


def test_maps_are_refined_and_the_images_of_the_adjoint_remain_beside_the_new_ones(gadget, message, refinement):
    (out,) = gadget.feed(message)
    assert out.fingerprints.operator is None
    before = replace(message.fingerprints, operator=None)
    assert out.fingerprints.adjoint == before
    mask = message.foreground.copy()
    mask[7, 7] = False
    assert not out.fingerprints.data[:, ~mask].any()
    assert (out.fingerprints.data != before.data)[:, mask].all()
    assert refinement.asked == [True]
    assert out.fingerprints.seen == message.fingerprints.operator.seen
    assert out.fingerprints.adjoint.seen is None


@pytest.mark.parametrize(
    ("pixels", "fov_ratio", "expected"),
    [((26, 26), 1, np.pi / 4), ((52, 26), 2, np.pi / 4), ((52, 52), 1, np.pi / 16), ((13, 13), 1, 1.0)],
)
def test_the_part_of_k_space_that_spokes_cover(pixels, fov_ratio, expected):
    """Spokes reach 13 cycles per field of view along x; the field of view may be longer along y."""
    k = radial_spokes(np.array([0.3, 1.4]), 27, 13, 1.0) * [1, fov_ratio]
    block = SpokeBlock(np.zeros((1, 2, 27), np.complex64), k.astype(np.float32), np.arange(2), 0, 0)
    assert SampleSpread(pixels, [], 1e-3, block).seen == pytest.approx(expected)


def test_the_efficiency_of_the_slice_counts(gadget, message):
    images = [next(gadget.feed(replace(message, inversion_efficiency=e))).fingerprints.data for e in (None, 1.0, 0.9)]
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


@pytest.mark.parametrize("anew", [True, False])
def test_without_operator_or_the_map_of_a_parameter_only_first_maps_are_refined(scan, samples, message, anew):
    refinement = Recorder()
    closed_form = WATER_FAT.closed_form(samples.sequence, samples.basis)
    gadget = Consistency(scan, closed_form, 200.0, refinement, anew=anew)
    maps = {name: values for name, values in message.maps.items() if name != "b1"}
    for other in (
        replace(message, fingerprints=None),
        replace(message, fingerprints=replace(message.fingerprints, operator=None)),
        replace(message, maps=maps),
    ):
        assert list(gadget.feed(other)) == [other]
    assert refinement.asked == [] if anew else [(False, None)] * 3
