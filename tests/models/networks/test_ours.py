"""The node's own network: what must not matter to it, and what its first layer is."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.network.network_input import interleaved
from spokestream.models.networks.ours import ComplexFilters, LastLayer, Ours, invariants
from spokestream.models.training.inputs.normalisation import CoefficientRms


@pytest.fixture
def images():
    rng = np.random.default_rng(1)
    return torch.from_numpy(
        (rng.standard_normal((3, 19, 17)) + 1j * rng.standard_normal((3, 19, 17))).astype(np.complex64)
    )


def test_the_first_layer_is_a_complex_convolution(images):
    torch.manual_seed(0)
    layer = ComplexFilters(3, 4, 5)
    out = layer(interleaved(images)[None])[0].detach()
    weights = torch.complex(layer.real, layer.imaginary)
    expected = torch.nn.functional.conv2d(images[None], weights)[0].detach()
    torch.testing.assert_close(torch.complex(out[0::2], out[1::2]), expected, rtol=1e-4, atol=1e-5)


def network():
    torch.manual_seed(0)
    return Ours(3, 2, filters=4, width=8, blocks=2).eval()


def fed(images, efficiency=0.95):
    normalise, tissue = CoefficientRms(3), torch.ones(19, 17, dtype=torch.bool)
    return normalise(interleaved(images), tissue, efficiency)[None]


@torch.inference_mode()
def test_receive_phase_does_not_matter(images):
    told = torch.full((1, 19, 17), 0.3)
    plain, turned = (torch.cat((interleaved(x), told))[None] for x in (images, np.exp(2.1j) * images))
    torch.testing.assert_close(network()(turned), network()(plain), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_the_gain_of_a_slice_does_not_matter(images):
    torch.testing.assert_close(network()(fed(7.5 * images)), network()(fed(images)), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_off_resonance_between_echo_times_does_matter(images):
    shifted = images * torch.polar(torch.ones(3), torch.tensor([0.0, 0.4, 0.8]))[:, None, None]
    assert (network()(fed(shifted)) - network()(fed(images))).abs().max() > 1e-3


@torch.inference_mode()
def test_the_efficiency_of_the_inversion_does_matter(images):
    assert (network()(fed(images, 0.9)) - network()(fed(images, 1.0))).abs().max() > 1e-3


def test_deviations_are_positive():
    with torch.inference_mode():
        planes = network()(1e3 * torch.randn(1, 7, 13, 15))
    assert planes.shape == (1, 4, 5, 7)
    assert torch.all(planes[:, 2:] > 0)


@pytest.mark.parametrize("value", [0.0, 40.0, 20_000.0])
def test_invariants_are_numbers_in_half_precision(value):
    filtered = torch.full((1, 8, 3, 5), value)
    features = invariants(filtered.half())
    assert features.dtype == torch.float16
    torch.testing.assert_close(features.float(), invariants(filtered), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 40.0])
def test_air_and_bright_tissue_have_maps_in_half_precision(value):
    x = torch.full((1, 7, 13, 15), value)
    with torch.inference_mode():
        exact, coarse = network()(x), network().half()(x.half())
    torch.testing.assert_close(coarse, exact, rtol=1e-2, atol=1e-2)


def test_the_last_layer_multiplies_in_single_precision_whatever_the_others_do():
    torch.manual_seed(0)
    layer, x = LastLayer(96, 2, start=0.5), torch.randn(1, 96, 3, 5).bfloat16()

    def expected():
        weight = layer.weight.detach().double()[:, :, 0, 0]
        return torch.einsum("oc,ncyx->noyx", weight, x.double()).float() + 0.5

    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x).detach(), expected(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.to(torch.bfloat16)(x).detach(), expected(), rtol=1e-5, atol=1e-5)
