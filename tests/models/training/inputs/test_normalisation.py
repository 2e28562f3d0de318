"""What networks are fed, against what the papers say of it."""

from functools import partial

import numpy as np
import pytest
import torch
from small_scan import short_fisp

from spokestream.gadgets.network.network_input import interleaved
from spokestream.models.training.inputs.normalisation import (
    CoefficientRms,
    EvenCoefficients,
    EvenIterativeCoefficients,
    FrameEnergy,
    FrameZScore,
    UnitCoefficients,
    expansion,
)
from spokestream.models.training.recipes import recipe
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.signal import frame_means
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis, window_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT


@pytest.fixture(scope="module")
def trains():
    return build_dictionary(load_sequence("t1ff-2d-1400")).atoms


@pytest.fixture(scope="module")
def basis(trains):
    return compressed_basis(load_sequence("t1ff-2d-1400"), trains)


@pytest.fixture
def slice_():
    rng = np.random.default_rng(3)
    images = rng.standard_normal((5, 7, 9)) + 1j * rng.standard_normal((5, 7, 9)) + 0.3
    return torch.from_numpy(images.astype(np.complex64)), torch.from_numpy(rng.random((7, 9)) < 0.6)


def test_images_interleave_real_and_imaginary_parts(slice_):
    images, _ = slice_
    parts = interleaved(images)
    assert torch.equal(parts[6], images[3].real)
    assert torch.equal(parts[7], images[3].imag)


def test_the_expansion_gives_back_the_frames_of_tissue(basis, trains):
    frames = frame_means(trains, basis.spokes_per_frame)
    back = basis.project(trains) @ expansion(basis, trains).T.astype(np.float64)
    # the basis may lose a millionth of the energy, a thousandth of the amplitude
    assert np.linalg.norm(back - frames) < 2e-3 * np.linalg.norm(frames)


def test_the_expansion_mixes_no_echo_times(basis, trains):
    te_ms = load_sequence("t1ff-2d-1400").te_ms[:: basis.spokes_per_frame]
    matrix = expansion(basis, trains)
    assert np.all(matrix[te_ms[:, None] != basis.te_ms] == 0)


def test_frames_expand_to_themselves(trains):
    basis = frame_basis(load_sequence("t1ff-2d-1400"), trains)
    assert np.array_equal(expansion(basis, trains), np.eye(175))


def test_z_scores_have_mean_0_and_deviation_1_over_tissue_part_by_part(slice_):
    images, foreground = slice_
    matrix = np.random.default_rng(0).standard_normal((11, 5)).astype(np.float32)
    scored = FrameZScore(matrix)(interleaved(images), foreground, 0.95).numpy()
    frames = np.einsum("tk,kyx->tyx", matrix, images.numpy())
    frames *= np.exp(-1j * np.angle(frames.sum(0))) / np.linalg.norm(frames, axis=0)
    for first, part in ((0, frames.real), (1, frames.imag)):
        of_tissue = part[:, foreground.numpy()]
        expected = (part - of_tissue.mean()) / of_tissue.std(ddof=1)
        np.testing.assert_allclose(scored[first::2], expected, rtol=1e-4, atol=1e-4)


def test_unit_coefficients_expand_to_frames_of_energy_1_and_no_phase(slice_):
    images, foreground = slice_
    matrix = np.random.default_rng(0).standard_normal((11, 5)).astype(np.float32)
    channels = UnitCoefficients(matrix)(interleaved(images), foreground, 1.0)
    frames = FrameEnergy(matrix)(interleaved(images), foreground, 1.0)
    assert channels.shape == (2 * 5, 7, 9)
    for part in (0, 1):
        torch.testing.assert_close(
            torch.einsum("tk,kyx->tyx", torch.from_numpy(matrix), channels[part::2]), frames[part::2]
        )


def test_fingerprints_have_energy_1_and_no_phase(slice_):
    images, foreground = slice_
    matrix = np.random.default_rng(0).standard_normal((11, 5)).astype(np.float32)
    x = FrameEnergy(matrix)(interleaved(images), foreground, 0.95).numpy()
    frames = x[0::2] + 1j * x[1::2]
    np.testing.assert_allclose((abs(frames) ** 2).sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(np.angle(frames.sum(0)), 0, atol=1e-4)
    np.testing.assert_allclose(
        abs(frames[3] / frames[5]),
        abs(np.tensordot(matrix[3], images.numpy(), 1) / np.tensordot(matrix[5], images.numpy(), 1)),
        rtol=1e-3,
    )


def test_coefficients_have_mean_power_1_over_tissue_whatever_their_scale(slice_):
    images, foreground = slice_
    normalise = CoefficientRms(5)
    x = normalise(interleaved(images), foreground, 0.95)[:-1]
    power = (x[0::2].square() + x[1::2].square())[:, foreground].mean()
    assert float(power) == pytest.approx(1, rel=1e-5)
    assert torch.allclose(normalise(interleaved(1e-9 * images), foreground, 0.95)[:-1], x, rtol=1e-4)


def test_a_network_gets_frames_or_the_coefficients_themselves(basis, trains):
    sequence = load_sequence("t1ff-2d-1400")
    assert CoefficientRms.of(basis, sequence).n_images == 17
    frames = FrameZScore.of(basis, sequence)
    assert frames.n_images == 175
    assert np.array_equal(frames.expand, expansion(basis, trains))


@pytest.mark.parametrize("kind", [frame_basis, partial(window_basis, window=48, stride=24)])
def test_frames_and_windows_are_passed_on_unchanged(kind, trains):
    basis = kind(load_sequence("t1ff-2d-1400"))
    assert np.array_equal(expansion(basis, trains), np.eye(basis.weights.shape[1]))


def test_coefficients_of_one_pool_have_even_sizes_down_to_the_noise():
    """A slice of all atoms, each with energy 1: coefficient k has power p_k, and p_k / (p_k + 0.04) afterwards."""
    sequence = short_fisp()
    atoms = RELAXATION.dictionary(sequence).atoms
    basis = compressed_basis(sequence, atoms)
    coefficients = basis.project(atoms)
    coefficients *= len(basis.te_ms) ** 0.5 / np.linalg.norm(coefficients, axis=1, keepdims=True)
    before = np.square(coefficients).mean(axis=0)
    images = torch.from_numpy(coefficients.T.astype(np.complex64))[:, None]
    foreground = torch.ones(images.shape[1:], dtype=torch.bool)
    x = EvenCoefficients.of(basis, sequence)(interleaved(images), foreground, 0.95)[:-1]
    after = (x[0::2].square() + x[1::2].square()).mean((1, 2)).numpy()
    np.testing.assert_allclose(after, before / (before + 0.04), rtol=1e-4)
    assert before.max() / before.min() > 1e4
    assert after[:3].max() / after[:3].min() < 2


def test_a_dark_rim_in_the_mask_changes_nothing_in_iterative_images():
    """The power is 4 in the tissue, in two images; the rim has a ten-thousandth of it."""
    sequence = short_fisp()
    basis = compressed_basis(sequence, RELAXATION.dictionary(sequence).atoms, tolerance=1e-3)
    normalise = EvenIterativeCoefficients.of(basis, sequence)
    images = torch.full((len(basis.te_ms), 8, 8), 2j, dtype=torch.complex64)
    images[:, :, 4:] *= 0.01
    tissue, mask = torch.zeros(8, 8, dtype=torch.bool), torch.ones(8, 8, dtype=torch.bool)
    tissue[:, :4] = True
    of_tissue, of_mask = (normalise(interleaved(images), voxels, 1.0)[:-1] for voxels in (tissue, mask))
    torch.testing.assert_close(of_mask, of_tissue, rtol=1e-4, atol=0)
    torch.testing.assert_close(of_tissue[1::2, 0, 0], normalise.per_size[1::2])  # power 1 before each is over its size


def test_networks_of_one_pool_and_of_two_get_their_own_normalisation():
    for model, normalisation in ((WATER_FAT, CoefficientRms), (RELAXATION, EvenCoefficients)):
        assert recipe(TrainingSettings("ours"), model).normalisation is normalisation
    for model, normalisation in ((WATER_FAT, CoefficientRms), (RELAXATION, EvenIterativeCoefficients)):
        assert recipe(TrainingSettings("ours"), model, "iterative").normalisation is normalisation
        assert recipe(TrainingSettings("cohen2018"), model).normalisation is FrameEnergy


def test_the_last_channel_tells_the_efficiency_of_the_inversion(slice_):
    images, foreground = slice_
    x = CoefficientRms(5)(interleaved(images), foreground, 0.97)
    assert x.shape == (11, 7, 9)
    torch.testing.assert_close(x[-1], torch.full((7, 9), 0.4))
