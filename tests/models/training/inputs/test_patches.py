"""Training patches: cut where they say, varied as physics allows, the same every time."""

import numpy as np
import pytest
import torch

from spokestream.errors import InputError
from spokestream.gadgets.network.network_input import interleaved
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.training.inputs.augmentation import Augmentation, mirrored, radial_noise, vary
from spokestream.models.training.inputs.normalisation import CoefficientRms
from spokestream.models.training.inputs.patches import Patches
from spokestream.models.training.inputs.targets import targets
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT


def patches(training_set, seed=0, augmentation=None, rank=0, processes=1, per_slice=2, batch=8, threads=0):
    data = TrainingSet(training_set, range(3))
    normalise = CoefficientRms(len(data.basis.te_ms))
    return Patches(
        data, normalise, maps=WATER_FAT.parameters, size=8, border=3, per_slice=per_slice, batch=batch, seed=seed,
        augmentation=augmentation, rank=rank, processes=processes, threads=threads,
    )  # fmt: skip


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_same_seed_epoch_and_batch_give_the_same_patches(training_set):
    first = list(patches(training_set, augmentation=Augmentation()).batches(2))
    again = list(patches(training_set, augmentation=Augmentation()).batches(2))
    assert len(first) == 1
    assert all(equal(a, b) for a, b in zip(first, again, strict=True))
    assert not equal(first[0], next(patches(training_set, seed=1, augmentation=Augmentation()).batches(2)))
    assert not equal(first[0], next(patches(training_set, augmentation=Augmentation()).batches(3)))


def test_an_epoch_goes_on_in_its_middle(training_set):
    small = patches(training_set, augmentation=Augmentation(), batch=4)
    whole = list(small.batches(1))
    assert len(whole) == 3
    for first in range(4):
        tail = list(small.batches(1, first))
        assert len(tail) == 3 - first
        assert all(equal(a, b) for a, b in zip(tail, whole[first:], strict=True))


@pytest.mark.parametrize(("threads", "first"), [(1, 0), (2, 1), (9, 0), (2, 3)])
def test_threads_that_make_batches_ahead_make_the_same(training_set, threads, first):
    waited_for = list(patches(training_set, augmentation=Augmentation(), batch=4).batches(1, first))
    ahead = list(patches(training_set, augmentation=Augmentation(), batch=4, threads=threads).batches(1, first))
    assert len(ahead) == 3 - first
    assert all(equal(a, b) for a, b in zip(ahead, waited_for, strict=True))


@pytest.mark.parametrize(("per_slice", "processes"), [(2, 2), (4, 4), (8, 2), (8, 4), (8, 8)])
def test_processes_share_the_patches_of_a_batch(training_set, per_slice, processes):
    whole = next(patches(training_set, augmentation=Augmentation(), per_slice=per_slice).batches(0))
    shares = [
        next(patches(training_set, 0, Augmentation(), rank, processes, per_slice).batches(0))
        for rank in range(processes)
    ]
    assert all(len(share[0]) == 8 // processes for share in shares)
    assert equal([torch.cat(parts) for parts in zip(*shares, strict=True)], whole)


def test_a_batch_that_cannot_be_shared_is_refused(training_set):
    with pytest.raises(InputError, match="shared evenly by 3 processes"):
        patches(training_set, processes=3)
    with pytest.raises(InputError, match="no multiple of 3 a slice"):
        patches(training_set, per_slice=3)
    with pytest.raises(InputError, match="takes 8 slices; the training set has 6"):
        patches(training_set, batch=16)


def test_inputs_reach_a_border_further_than_targets(training_set):
    x, target, weight = next(patches(training_set).batches(0))
    assert x.shape[2:] == (14, 14)
    assert target.shape == weight.shape == (8, 5, 8, 8)
    data = TrainingSet(training_set, range(3))
    slices = []
    for item in (data[i] for i in range(len(data))):
        normalise = CoefficientRms(len(data.basis.te_ms))
        whole = normalise(interleaved(item["fingerprints"]), item["foreground"], 0.95)[:-1]
        slices.append((whole, *targets(item, WATER_FAT, WATER_FAT.parameters), item["foreground"]))
    for patch in zip(x[:, :-1], target, weight, strict=True):
        assert sum(_is_of(patch, slice_) for slice_ in slices) == 1


def _is_of(patch, slice_):
    """Whether a slice with air around it has this patch, its border included, around a pixel of tissue."""
    x, target, weight = (torch.nn.functional.pad(t, (7,) * 4) for t in slice_[:3])
    return any(
        torch.equal(patch[0], x[:, r : r + 14, c : c + 14])
        and torch.equal(patch[1], target[:, r + 3 : r + 11, c + 3 : c + 11])
        and torch.equal(patch[2], weight[:, r + 3 : r + 11, c + 3 : c + 11])
        for r, c in torch.nonzero(slice_[3]).tolist()
    )


def test_pools_that_are_absent_do_not_count():
    item = {name: torch.zeros(1, 3) for name in ("t1h2o", "t1fat", "deltaf", "b1")}
    item |= {"ff": torch.tensor([[0.0, 0.25, 1.0]]), "pd": torch.tensor([[1.0, 1.0, 1.0]])}
    item["foreground"] = torch.ones(1, 3, dtype=torch.bool)
    _, weight = targets(item, WATER_FAT, WATER_FAT.parameters)
    by_name = {m.name: w[0].tolist() for m, w in zip(WATER_FAT.parameters, weight, strict=True)}
    assert by_name == {
        "ff": [1, 1, 1], "t1h2o": [1, 0.75, 0], "t1fat": [0, 0.25, 1], "deltaf": [1, 1, 1], "b1": [1, 1, 1]
    }  # fmt: skip


def test_targets_span_their_ranges():
    item = {"ff": torch.tensor([[0.5]]), "t1h2o": torch.tensor([[1150.0]]), "t1fat": torch.tensor([[475.0]])}
    item |= {"deltaf": torch.tensor([[-60.0]]), "b1": torch.tensor([[0.0]]), "pd": torch.tensor([[1.0]])}
    item["foreground"] = torch.ones(1, 1, dtype=torch.bool)
    values, weights = targets(item, WATER_FAT, WATER_FAT.parameters)
    torch.testing.assert_close(values.flatten(), torch.tensor([0.5, 0.5, 1.0, 0.25, 0.0]))
    torch.testing.assert_close(weights.flatten(), torch.tensor([1, 0.5, 0.5, 1, 1]))


def test_targets_of_relaxation_times_are_logarithmic_and_only_those_of_pure_water_count():
    item = {"t1": torch.tensor([[707.10678, 0.0]]), "t2": torch.tensor([[2500.0, 0.0]]), "pd": torch.ones(1, 2)}
    item["foreground"] = torch.ones(1, 2, dtype=torch.bool)
    values, weights = targets(item, RELAXATION, RELAXATION.parameters)
    torch.testing.assert_close(values[:, 0, 0], torch.tensor([0.5, 1.0]))
    assert values[:, 0, 1].tolist() == [0, 0]  # finite, so that a weight of 0 leaves it out
    assert weights[:, 0].tolist() == [[1, 0], [1, 0]]
    _, by_value = targets(item, RELAXATION, RELAXATION.parameters, by_value=True)
    torch.testing.assert_close(by_value[:, 0], torch.tensor([[0.70710678, 0], [1, 0]]))  # T1 in seconds; T2 as before


@pytest.mark.parametrize("conditioned", [False, True])
def test_a_network_that_is_not_conditioned_gets_an_efficiency_of_1(training_set, conditioned):
    data, given = TrainingSet(training_set), []

    def normalise(coefficients, foreground, efficiency):
        given.append(efficiency)
        return coefficients

    next(
        Patches(
            data, normalise, maps=WATER_FAT.parameters, size=8, border=3, per_slice=2, batch=8, seed=0,
            conditioned=conditioned,
        ).batches(0)
    )  # fmt: skip
    actual = [float(data[i]["inversion_efficiency"]) for i in range(len(data))]
    if conditioned:
        assert all(min(abs(e - a) for a in actual) < 5 * 0.003 for e in given)
        assert 1.0 not in given
    else:
        assert given == [1.0] * 4


def test_values_beyond_their_range_do_not_count():
    beyond = {"ff": 0.5, "t1h2o": 2301.0, "t1fat": 480.0, "deltaf": -120.5, "b1": 1.4, "pd": 1.0}
    item = {name: torch.tensor([[value]]) for name, value in beyond.items()}
    item["foreground"] = torch.ones(1, 1, dtype=torch.bool)
    values, weights = targets(item, WATER_FAT, WATER_FAT.parameters)
    assert values.flatten().tolist() == [0.5, 1, 1, 0, 1]
    assert weights.flatten().tolist() == [1, 0, 0, 0, 0]


def test_a_varied_slice_is_the_slice_seen_by_another_coil():
    rng = np.random.default_rng(0)
    images = torch.polar(torch.rand(4, 23, 21) + 0.5, torch.rand(4, 23, 21))
    tissue = torch.ones(23, 21, dtype=torch.bool)
    varied = vary(images, tissue, Augmentation(noise=0), rng)
    ratio = varied / images
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))  # one factor for all images: nothing else changed
    assert 0.7 < ratio.abs().min() < ratio.abs().max() < 1.4
    assert (ratio[0, 1:] / ratio[0, :-1]).angle().abs().max() < 0.5


def test_a_mirrored_slice_keeps_its_voxels_together():
    """All eight positions of a slice occur, and images and maps have the same one."""
    t1 = torch.arange(6.0).reshape(2, 3)
    item = {"fingerprints": torch.stack([t1, -t1]), "t1": t1, "inversion_efficiency": torch.tensor(0.9)}
    rng, seen = np.random.default_rng(0), set()
    for _ in range(100):
        turned = mirrored(item, rng)
        assert torch.equal(turned["fingerprints"], torch.stack([turned["t1"], -turned["t1"]]))
        assert turned["inversion_efficiency"] == item["inversion_efficiency"]
        seen.add((turned["t1"].shape, tuple(turned["t1"].flatten().tolist())))
    assert len(seen) == 8
    assert {tuple(sorted(values)) for _, values in seen} == {(0.0, 1.0, 2.0, 3.0, 4.0, 5.0)}


def test_noise_of_spokes_has_variance_1_and_grows_with_frequency():
    noise = radial_noise((3, 128, 96), np.random.default_rng(0))
    assert float(noise.abs().square().mean()) == pytest.approx(1, abs=0.03)
    power = torch.fft.fft2(noise).abs().square().mean(0)
    assert float(power[:, 32].mean() / power[:, 16].mean()) == pytest.approx(
        _mean_radius(128, 32 / 96) / _mean_radius(128, 16 / 96), rel=0.1
    )


def _mean_radius(n, along):
    return float(torch.hypot(torch.fft.fftfreq(n), torch.tensor(along)).mean())
