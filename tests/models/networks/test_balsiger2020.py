"""Algorithm 1 against the configurations that it is published with."""

import numpy as np
import pytest
import torch
from torch import nn

from spokestream.errors import InputError
from spokestream.models.networks.balsiger2020 import Balsiger2020, architecture

FRAMES, MAPS = 175, 5
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("receptive_field", "temporal", "spatial", "layers"),
    [
        (1, [141], [64], [20]),
        (3, [117], [64], [20]),
        (5, [164, 132], [96, 64], [10, 9]),
        (7, [193, 161, 129], [128, 96, 64], [6, 6, 6]),
        (9, [197, 165, 133, 101], [160, 128, 96, 64], [5, 4, 4, 4]),
        (11, [195, 163, 131, 99, 67], [192, 160, 128, 96, 64], [4, 3, 3, 3, 3]),
        (13, [179, 147, 115, 83, 51, 32], [224, 192, 160, 128, 96, 64], [3, 3, 3, 2, 2, 2]),
        (15, [179, 147, 115, 83, 51, 32, 32], [256, 224, 192, 160, 128, 96, 64], [2] * 7),
        (17, [128, 96, 64, *[32] * 5], [288, 256, 224, 192, 160, 128, 96, 64], [2] * 5 + [1] * 3),
        (19, [51, *[32] * 8], [320, 288, 256, 224, 192, 160, 128, 96, 64], [2] * 3 + [1] * 6),
    ],
)
def test_five_million_parameters_are_spent_as_published(receptive_field, temporal, spatial, layers):
    plan = architecture(receptive_field, 5 * MILLION, 21, FRAMES, MAPS)
    assert [list(plan.temporal), list(plan.spatial), list(plan.layers)] == [temporal, spatial, layers]


@pytest.mark.parametrize(("millions", "temporal"), [(3, (17, *[32] * 6)), (4, (126, 94, 62, *[32] * 4))])
def test_fewer_parameters_narrow_the_first_blocks(millions, temporal):
    assert architecture(15, millions * MILLION, 21, FRAMES, MAPS).temporal == temporal


def test_the_published_network_has_its_published_size():
    network = Balsiger2020(FRAMES, MAPS)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert sum(p.numel() for conv in convolutions for p in conv.parameters()) == 4_995_684
    assert len(convolutions) == 21 + 1
    assert network.border == 7


@pytest.mark.parametrize(("receptive_field", "n_parameters"), [(15, 3 * MILLION), (9, 900_000), (1, 60_000)])
def test_the_built_network_has_the_size_that_the_plan_says(receptive_field, n_parameters):
    images, maps = 7, 3
    network = Balsiger2020(images, maps, receptive_field, n_parameters)
    built = sum(p.numel() for m in network.modules() if isinstance(m, nn.Conv2d) for p in m.parameters())
    assert built == architecture(receptive_field, n_parameters, 21, images, maps).n_parameters(2 * images, maps)
    assert built == pytest.approx(n_parameters, rel=0.04)


@pytest.mark.parametrize(("receptive_field", "millions", "least"), [(21, 5, 5.72), (15, 1, 2.91), (15, 2, 2.91)])
def test_too_few_parameters_are_refused_with_the_least_that_will_do(receptive_field, millions, least):
    with pytest.raises(InputError, match="takes at least") as refusal:
        architecture(receptive_field, millions * MILLION, 21, FRAMES, MAPS)
    named = int(str(refusal.value).split("at least ")[1].split(" ")[0].replace(",", ""))
    assert named / MILLION == pytest.approx(least, abs=0.005)
    assert architecture(receptive_field, named, 21, FRAMES, MAPS).n_parameters(2 * FRAMES, MAPS) == named
    with pytest.raises(InputError, match=f"{named:,}"):
        architecture(receptive_field, named - 1, 21, FRAMES, MAPS)


@pytest.mark.parametrize("receptive_field", [-1, 0, 6])
def test_a_receptive_field_has_a_central_pixel(receptive_field):
    with pytest.raises(InputError, match="odd"):
        architecture(receptive_field, 5 * MILLION, 21, FRAMES, MAPS)


def test_every_block_has_a_temporal_layer():
    assert architecture(9, 5 * MILLION, 8, FRAMES, MAPS).layers == (1, 1, 1, 1)
    with pytest.raises(InputError, match="at least 8 non-linearities"):
        architecture(9, 5 * MILLION, 7, FRAMES, MAPS)


@torch.no_grad()
def test_a_trained_network_is_this_formula():
    network = Balsiger2020(2, 3, receptive_field=5, n_parameters=120_000, n_nonlinearities=5).double().eval()
    generator = torch.Generator().manual_seed(4)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.1 + torch.rand(value.shape, generator=generator, dtype=torch.double) - 0.4 * (value.ndim > 1))
    state = {name: value.numpy() for name, value in network.state_dict().items()}

    def layer(name, neighbourhood):  # (channels, k, k) to one pixel
        y = np.tensordot(state[f"{name}.conv.weight"], neighbourhood, 3) + state[f"{name}.conv.bias"]
        mean, variance, scale, shift = (
            state[f"{name}.norm.{of}"] for of in ("running_mean", "running_var", "weight", "bias")
        )
        return (np.maximum(y, 0) - mean) / np.sqrt(variance + 1e-3) * scale + shift

    def block(index, n_temporal, image):
        for i in range(n_temporal):
            pixels = [[layer(f"blocks.{index}.temporal.{i}", p[:, None, None]) for p in row] for row in image]
            image = np.concatenate([image, pixels], axis=-1)
        size = len(image) - 2
        window = [[image[r : r + 3, c : c + 3].transpose(2, 0, 1) for c in range(size)] for r in range(size)]
        return np.array([[layer(f"blocks.{index}.spatial", w) for w in row] for row in window])

    x = torch.randn(1, 4, 5, 5, generator=generator, dtype=torch.double)
    features = block(1, 1, block(0, 2, x[0].permute(1, 2, 0).numpy()))[0, 0]
    expected = state["last.weight"][..., 0, 0] @ features + state["last.bias"]
    np.testing.assert_allclose(network(x)[0, :, 0, 0], expected, rtol=1e-9)
