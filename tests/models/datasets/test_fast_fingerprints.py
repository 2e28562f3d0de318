"""The fast path, against k-space and the very gadgets of the runtime."""

from dataclasses import replace

import numpy as np
import pytest
from small_scan import gradient_spoiled

from spokestream.gadgets.imaging.low_rank import echo_times_of
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.fast_fingerprints import FastGridding
from spokestream.models.datasets.full_fingerprints import full_fingerprints
from spokestream.models.datasets.making import make_training_set, tissue_box
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.acquisition.slice_profile import slice_profile
from spokestream.simulator.expansion.spoke_terms import SpokeTerms
from spokestream.simulator.phantoms.changes import CHANGES, UNCHANGED, changed
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION

COILS = 4
RECEIVER_HZ = 200.0


def exam_of(settings, seed=2, **changes):
    return WhitenedExam(replace(settings.exam(seed), matrix=45, **changes))


@pytest.fixture(scope="module")
def basis(settings):
    sequence = exam_of(settings).sequence
    return compressed_basis(sequence, build_dictionary(sequence).atoms)


def full(exam, index, basis, **tolerance):
    return full_fingerprints(exam, index, basis, virtual_coils=COILS, demodulation_hz=RECEIVER_HZ, **tolerance).data


def fast(exam, basis, delays=0.3, tolerance=1e-3, inversion=None):
    terms = SpokeTerms(
        exam.sequence,
        exam.nominal.time_ms,
        dk=1 / exam.protocol.samples_per_pixel,
        efficiencies=(0.9, 1.0),
        most_delay=delays,
        receiver_hz=RECEIVER_HZ,
        tolerance=5e-4,
        profile=slice_profile(exam.settings.slice_profile),
    )
    return FastGridding(
        terms, basis, exam.nominal, matrix=45, virtual_coils=COILS, tolerance=tolerance, inversion=inversion
    )


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "changes",
    [
        {"coils": 3, "delays": (0.0, 0.0)},
        {"coils": 7, "delays": (0.3, -0.2), "inversion_efficiency": 0.93},
        {"coils": 5, "delays": (-0.1, 0.3), "anatomy": "abdomen", "slice_profile": "hann-sinc"},
    ],
)
def test_it_equals_the_way_through_k_space(settings, basis, changes):
    exam = exam_of(settings, noise=0.0, **changes)
    box = tissue_box(exam.phantoms)
    images = fast(exam, basis, tolerance=1e-4).fingerprints(exam, 1, box).data[:, *box]
    through_k_space = full(exam, 1, basis, tolerance=1e-4)[:, *box]
    assert np.linalg.norm(images - through_k_space) < 1e-3 * np.linalg.norm(through_k_space)


@pytest.mark.parametrize("change", [change for change in CHANGES if change != UNCHANGED])
def test_changed_subjects_equal_the_way_through_k_space(settings, basis, change):
    exam = exam_of(settings, noise=0.0, coils=3, delays=(0.0, 0.0))
    exam.phantoms = changed(exam.phantoms, change, 2)
    box = tissue_box(exam.phantoms)
    images = fast(exam, basis, tolerance=1e-4).fingerprints(exam, 1, box).data[:, *box]
    through_k_space = full(exam, 1, basis, tolerance=1e-4)[:, *box]
    assert np.linalg.norm(images - through_k_space) < 1e-3 * np.linalg.norm(through_k_space)


def test_it_equals_the_way_through_k_space_for_gradient_spoiling(tmp_path):
    """Trains of different T2 differ in shape; the range of T2 of all people is more than two decades."""
    (tmp_path / "fisp.toml").write_text(gradient_spoiled(80))
    settings = DataSettings(matrix=45, slices=1, anatomies="brain", sequence=str(tmp_path / "fisp.toml"))
    exam = exam_of(settings, noise=0.0, coils=3, delays=(0.3, -0.2), inversion_efficiency=0.93)
    box = tissue_box(exam.phantoms)
    basis = compressed_basis(exam.sequence, RELAXATION.dictionary(exam.sequence).atoms[::16])
    images = fast(exam, basis, tolerance=1e-4).fingerprints(exam, 0, box).data[:, *box]
    through_k_space = full(exam, 0, basis, tolerance=1e-4)[:, *box]
    assert np.linalg.norm(images - through_k_space) < 1e-3 * np.linalg.norm(through_k_space)


def test_iterative_images_equal_those_of_the_way_through_k_space(tmp_path):
    (tmp_path / "fisp.toml").write_text(gradient_spoiled(80))
    settings = DataSettings(matrix=45, slices=1, anatomies="brain", sequence=str(tmp_path / "fisp.toml"))
    exam = exam_of(settings, noise=0.0, coils=3, delays=(0.05, -0.02), inversion_efficiency=0.93)
    box = tissue_box(exam.phantoms)
    atoms = RELAXATION.dictionary(exam.sequence).atoms[::16]
    basis = compressed_basis(exam.sequence, atoms)
    inversion = echo_times_of(RELAXATION, exam.sequence, basis, atoms)
    made = fast(exam, basis, tolerance=1e-4, inversion=inversion).fingerprints(exam, 0, box)
    through_k_space = full(exam, 0, basis, tolerance=1e-4, inversion=inversion)[:, *box]
    assert np.linalg.norm(made.data[:, *box] - through_k_space) < 1e-3 * np.linalg.norm(through_k_space)
    adjoint = full(exam, 0, basis, tolerance=1e-4)[:, *box]
    assert np.linalg.norm(made.adjoint.data[:, *box] - adjoint) < 1e-3 * np.linalg.norm(adjoint)


@pytest.mark.parametrize("images", ["adjoint", "iterative"])
def test_a_set_passes_on_what_the_node_passes_on(tmp_path, images):
    (tmp_path / "fisp.toml").write_text(gradient_spoiled(80))
    settings = DataSettings(
        subjects=1, matrix=45, slices=2, coils=(4, 4), anatomies="brain", sequence=str(tmp_path / "fisp.toml"),
        demodulation_hz=0.0, images=images,
    )  # fmt: skip
    make_training_set(tmp_path / "set", settings, "synchronous")
    data = TrainingSet(tmp_path / "set")
    message, item = data.message(1), data[1]
    assert message.slice == 1
    np.testing.assert_array_equal(message.data, item["fingerprints"])
    np.testing.assert_array_equal(message.foreground, item["foreground"])
    assert (message.adjoint is not None) == (images == "iterative")
    if message.adjoint is not None:
        assert message.adjoint.data.shape == message.data.shape
        assert np.linalg.norm(message.adjoint.data - message.data) > 0.1 * np.linalg.norm(message.data)


@pytest.mark.parametrize("path", ["fast", "full"])
def test_noise_is_as_loud_as_asked_for(settings, basis, path):
    # of a single coil, whose sensitivity no noise can change
    noisy, silent = (exam_of(settings, seed=1, noise=noise, coils=1) for noise in (0.4, 0.0))
    box = tissue_box(noisy.phantoms)
    if path == "fast":
        gridding = fast(noisy, basis)
        noise = gridding.fingerprints(noisy, 0, box).data - gridding.fingerprints(silent, 0, box).data
    else:
        noise = np.subtract(*(full(exam, 0, basis) for exam in (noisy, silent)))
    # white noise through the ramp: every sample weighs density / spokes in the frame, every frame its basis
    frame = np.arange(len(noisy.sequence)) // basis.spokes_per_frame
    share = 1 / np.bincount(frame)[frame]
    weights = basis.weights[frame] * share[:, None]
    expected = noisy.sigma * np.sqrt(np.sum(weights**2, axis=0) * np.sum(noisy.nominal.density**2)) / 45**2
    parts = noise.view(np.float32).reshape(len(noise), -1)
    np.testing.assert_allclose(parts.std(axis=1), expected, rtol=0.05)
