"""What all networks have in common: what a pixel sees, how patches fit together, what they can be turned into."""

import pytest
import torch
from torch import nn

from spokestream.errors import InputError
from spokestream.models.networks.balsiger2018 import Balsiger2018
from spokestream.models.networks.balsiger2020 import Balsiger2020
from spokestream.models.networks.cohen2018 import Cohen2018, Drone
from spokestream.models.networks.fang2019 import Fang2019, FeaturesOnly, Pretraining, SpatialOnly
from spokestream.models.networks.fold import fold_batch_norm
from spokestream.models.networks.hoppe2017 import Hoppe2017
from spokestream.models.networks.layers import PIXELS_AT_ONCE
from spokestream.models.networks.oksuz2019 import Oksuz2019
from spokestream.models.networks.ours import Ours, Residual, ours_of_size
from spokestream.models.networks.song2019 import Song2019

MAPS = 3
NETWORKS = {
    "balsiger2020": lambda: Balsiger2020(5, MAPS, 5, 150_000, 9),
    "balsiger2020, one pixel": lambda: Balsiger2020(5, MAPS, 1, 20_000, 6),
    "balsiger2018": lambda: Balsiger2018(5, MAPS),
    "fang2019": lambda: Fang2019(5, MAPS, 7),
    "fang2019, first step": lambda: Pretraining(Fang2019(5, MAPS)),
    "fang2019, magnitudes": lambda: Fang2019(5, MAPS, 7, parts=1),
    "fang2019, features only": lambda: FeaturesOnly(5, MAPS, 7),
    "fang2019, U-Net only": lambda: SpatialOnly(5, MAPS),
    "fang2019, vectors": lambda: SpatialOnly(5, MAPS, 2),
    "cohen2018": lambda: Cohen2018(5, MAPS),
    "drone": lambda: Drone(5, MAPS),
    "hoppe2017": lambda: Hoppe2017(90, MAPS),
    "oksuz2019": lambda: Oksuz2019(5, MAPS),
    "song2019": lambda: Song2019(5, MAPS),
    "ours": lambda: Ours(5, MAPS, filters=4, width=8, blocks=2),
}
PLANES = {"ours": 2 * MAPS}
"""Of those that give more than maps."""
every_network = pytest.mark.parametrize("name", NETWORKS)
scripting = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")


@pytest.fixture
def network(name):
    """As if trained: its batch normalisation has seen something, and residual blocks add something."""
    torch.manual_seed(3)
    network = NETWORKS[name]().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
        elif isinstance(module, Residual):
            nn.init.normal_(module.across.weight)
    return network


def images(network, h, w, n=1, seed=1):
    """What gives (n, maps, h, w)"""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, network.channels, h + 2 * network.border, w + 2 * network.border, generator=generator)


@every_network
@torch.no_grad()
def test_maps_have_the_size_of_the_images_without_the_border(name, network):
    h, w = 3 * network.step, 5 * network.step
    maps = network(images(network, h, w, n=2))
    assert maps.shape == (2, PLANES.get(name, MAPS), h, w)
    assert network.outputs == MAPS


@every_network
@torch.no_grad()
def test_patches_give_what_the_whole_image_gives(network):
    step, border = network.step, network.border
    h, w = (5, 7) if step == 1 else (3 * step, 2 * step)
    x = images(network, h, w)
    whole = network(x)
    for y0, x0, dy, dx in [(0, 0, 1, 1), (1, 0, 2, 1), (1, 1, 1, 1), (2, 0, 1, 2)]:
        top, left, bottom, right = (step * i for i in (y0, x0, y0 + dy, x0 + dx))
        patch = network(x[:, :, top : bottom + 2 * border, left : right + 2 * border])
        torch.testing.assert_close(patch, whole[:, :, top:bottom, left:right], rtol=1e-4, atol=1e-5)


@every_network
@torch.no_grad()
def test_a_slice_of_a_batch_does_not_depend_on_the_others(network):
    x = images(network, network.step, 2 * network.step, n=3)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "reaches"),
    [(name, (0, 0)) for name in NETWORKS if not name.startswith(("balsiger", "fang2019", "ours"))]
    + [("balsiger2020", (2, 2)), ("balsiger2020, one pixel", (0, 0)), ("balsiger2018", (2, 2))]
    + [("ours", (4, 4))]
    + [("fang2019, first step", (0, 0)), ("fang2019, features only", (0, 0))],
)
def test_a_pixel_sees_its_receptive_field(network, reaches):
    assert seen(network, 2, 1) == ((2 - reaches[0], 2 + reaches[0]), (1 - reaches[1], 1 + reaches[1]))


@pytest.mark.parametrize("receptive_field", [3, 9, 15])
def test_the_receptive_field_is_the_one_that_was_asked_for(receptive_field):
    torch.manual_seed(3)
    network = Balsiger2020(3, MAPS, receptive_field, 2_200_000)
    reach = receptive_field // 2
    assert network.border == reach
    assert seen(network.eval(), 1, 2) == ((1 - reach, 1 + reach), (2 - reach, 2 + reach))


@pytest.mark.parametrize("receptive_field", [7, 19])
def test_our_network_can_have_another_receptive_field(receptive_field):
    network = ours_of_size(3, MAPS, receptive_field)
    for block in network.blocks:  # which begins as the identity
        nn.init.normal_(block.across.weight)
    reach = receptive_field // 2
    assert network.border == reach
    assert seen(network.eval(), 1, 2) == ((1 - reach, 1 + reach), (2 - reach, 2 + reach))


@pytest.mark.parametrize(("receptive_field", "most"), [(15, 505_674), (15, 505_673), (19, 1_200_000)])
def test_our_network_is_the_widest_one_with_at_most_this_number_of_parameters(receptive_field, most):
    def size(width):
        blocks = (receptive_field - 5) // 2
        return sum(p.numel() for p in Ours(17, 5, width=width, blocks=blocks).parameters())

    network = ours_of_size(17, 5, receptive_field, most)
    width = network.mix.out_channels
    assert size(width) == sum(p.numel() for p in network.parameters()) <= most < size(width + 8)


@pytest.mark.parametrize(
    ("receptive_field", "most", "words"),
    [
        (14, None, "odd number from 7, not 14"),
        (5, None, "odd number from 7, not 5"),
        (15, 1000, "takes at least [0-9,]+ parameters, not 1,000"),
    ],
)
def test_a_size_that_our_network_cannot_have_is_refused(receptive_field, most, words):
    with pytest.raises(InputError, match=words):
        ours_of_size(17, 5, receptive_field, most)


@pytest.mark.parametrize("name", ["fang2019", "fang2019, magnitudes", "fang2019, U-Net only", "fang2019, vectors"])
def test_all_pixels_of_a_pooled_block_see_the_same_54(network):
    for y, x in [(0, 5), (7, 3)]:
        (top, bottom), (left, right) = seen(network, y, x)
        assert bottom - top + 1 == right - left + 1 == 54
        assert top == left == -23
    assert seen(network, 8, 3) == ((8 - 23, 8 + 30), (-23, 30))


def step_up(extent, step):
    return -(-extent // step) * step


def seen(network, y, x):
    """First and last row, first and last column, in pixels of the maps, that a pixel depends on."""
    h, w = (step_up(extent, network.step) for extent in (y + 1, x + 2))
    x_in = images(network, h, w).requires_grad_()
    network(x_in)[0, :, y, x].sum().backward()
    effect = x_in.grad.abs().sum((0, 1))
    rows, columns = (torch.nonzero(effect.sum(axis)).flatten() - network.border for axis in (1, 0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


@every_network
@torch.no_grad()
def test_folding_takes_normalisation_out_and_changes_nothing(network):
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    x = images(network, 2 * network.step, network.step, n=2)
    torch.testing.assert_close(folded(x), network(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["balsiger2020", "balsiger2018"])
@torch.no_grad()
def test_folding_leaves_the_network_itself_as_it_was(network):
    x = images(network, 3, 4)
    before, training = network(x), network.train()
    fold_batch_norm(training)
    assert training.training
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) > 0
    torch.testing.assert_close(network.eval()(x), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["cohen2018", "drone"])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_folding_takes_hyperbolic_tangents_out_and_rounds_no_coarser(network, precision):
    x = images(network, 3, 4).to(precision)
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.Tanh) for module in folded.modules())
    # errors of single precision are 6e-8 a layer; those of bfloat16 are the same roundings in both
    torch.testing.assert_close(folded.to(precision)(x), network.to(precision)(x), rtol=0, atol=1e-6)


@every_network
@scripting
@torch.no_grad()
def test_scripted_and_folded_they_give_the_same(network):
    x = images(network, network.step, 2 * network.step)
    for scripted in (torch.jit.script(network), torch.jit.script(fold_batch_norm(network))):
        torch.testing.assert_close(scripted(x), network(x), rtol=1e-4, atol=1e-4)
        assert scripted.border == network.border
        assert scripted.step == network.step


@every_network
@scripting
@torch.no_grad()
def test_bfloat16_is_coarse_but_right(name, network):
    x = images(network, network.step, 2 * network.step)
    exact = network(x)
    coarse = torch.jit.script(fold_batch_norm(network)).to(torch.bfloat16)(x.bfloat16())
    assert coarse.dtype == (torch.float32 if name == "ours" else torch.bfloat16)
    assert (coarse.float() - exact).norm() < 0.05 * exact.norm()


@every_network
@torch.no_grad()
def test_evaluation_gives_the_same_bits_twice(network):
    x = images(network, network.step, network.step)
    assert torch.equal(network(x), network(x))


@every_network
def test_a_small_step_against_the_gradient_of_all_weights_makes_the_loss_smaller(network):
    h, w = (8, 8) if network.step == 8 else (5, 6)
    x, target = images(network, h, w), torch.rand(1, MAPS, h, w, generator=torch.Generator().manual_seed(2))

    def loss():
        return (network(x)[:, :MAPS] - target).square().mean()

    before = loss()
    before.backward()
    weights = [weight for weight in network.parameters() if weight.grad is not None]
    # standard deviations, which this loss does not look at, have weights of their own
    assert {name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()} <= {
        "spread.weight", "spread.bias"
    }  # fmt: skip
    # To first order a step of s times the gradient g takes s |g|^2 off the loss. This one is to take a thousandth off,
    # a thousand times what single precision rounds; half of it (Armijo's condition) is left where the loss is bent.
    expected = 1e-3 * before.item()
    squared = sum(weight.grad.square().sum() for weight in weights)
    with torch.no_grad():
        for weight in weights:
            weight -= expected / squared * weight.grad
        assert loss() < before - expected / 2


@pytest.mark.parametrize("name", ["hoppe2017", "oksuz2019", "song2019"])
@torch.no_grad()
def test_fingerprints_of_a_large_image_are_taken_some_at_a_time(network):
    w = PIXELS_AT_ONCE // 13 + 5
    x = images(network, 13, w)
    torch.testing.assert_close(network(x)[:, :, 12:, -9:], network(x[:, :, 12:, -9:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "kind", [Balsiger2018, Balsiger2020, Cohen2018, Fang2019, Hoppe2017, Oksuz2019, Ours, Song2019]
)
def test_a_network_without_images_or_maps_is_refused(kind):
    for n_images, n_maps in [(0, 3), (90, 0)]:
        with pytest.raises(ValueError, match="at least one image and one map"):
            kind(n_images, n_maps)
