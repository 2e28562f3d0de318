"""A denoiser is trained on simulated slices, and its archive and card say what it was trained on."""

import numpy as np
import pytest

from spokestream.errors import FileError, InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.gadgets.network.denoiser import load_denoiser
from spokestream.models.archives import MATCHING
from spokestream.models.denoising.card import denoiser_card
from spokestream.models.denoising.denoiser_settings import KINDS, DenoiserSettings
from spokestream.models.denoising.evidence_set import evidence_path, make_evidence, make_subject, read_slice
from spokestream.models.denoising.training import errors, slices, train_denoiser
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

SETTINGS = DenoiserSettings(subjects=3, validation=1, matrix=48, epochs=25, width=16, blocks=2, first_maps="both")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    for seed in SETTINGS.data.seeds:
        make_subject(folder, SETTINGS, seed)
    return folder


@pytest.mark.parametrize(("images", "kind"), [(ADJOINT, MATCHING), *((CONSISTENT, kind) for kind in KINDS)])
def test_evidence_and_truth_belong_to_the_same_voxels(folder, images, kind):
    one = read_slice(evidence_path(folder, SETTINGS.first_seed), images, kind)
    n = len(WATER_FAT.names)
    assert len(one.features) == len(one.x) == one.mask.sum() > 100
    assert one.target.shape == one.weight.shape == (n, *one.mask.shape)
    assert (one.weight >= 0).all()
    assert not one.weight[:, ~np.asarray(one.mask)].any()
    ff = one.x[:, WATER_FAT.names.index("ff")].numpy()
    true_ff = one.target[WATER_FAT.names.index("ff")].numpy()[one.mask]
    assert np.corrcoef(ff, true_ff)[0, 1] > 0.8


def test_some_subjects_must_be_left_to_learn_from():
    with pytest.raises(InputError, match="Of 3 subjects, 3 cannot be held out"):
        DenoiserSettings(subjects=3, validation=3)


def test_maps_of_a_network_are_refined_in_consistent_images_only(folder):
    with pytest.raises(InputError, match="Maps of a network are refined in consistent images"):
        DenoiserSettings(images=ADJOINT, first_maps="both")
    path = evidence_path(folder, SETTINGS.first_seed)
    with pytest.raises(FileError, match="has no evidence of maps by network in adjoint images; make it in another"):
        read_slice(path, ADJOINT, "network")


def test_what_is_there_is_not_made_again(folder):
    done = []
    make_evidence(folder, SETTINGS, lambda n, all_of: done.append((n, all_of)))
    assert done == [(3, 3)]


def test_training_lowers_the_errors_and_says_what_it_did(folder, tmp_path):
    told = []
    card = train_denoiser(folder, tmp_path / "a.pt", SETTINGS, lambda *progress: told.append(progress[:2]))
    assert told == [(n, 25) for n in range(1, 26)]
    denoiser = load_denoiser(tmp_path / "a.pt")
    assert denoiser.card.metrics == card.metrics
    learnt = errors(denoiser, slices(folder, list(SETTINGS.data.seeds)[1:], CONSISTENT, KINDS))
    assert learnt["ff"][1] < learnt["ff"][0]
    assert learnt["b1"][1] < learnt["b1"][0]
    text = denoiser_card(card)
    assert "spokestream denoiser EVIDENCE ARCHIVE --subjects 3 --validation 1 --matrix 48 --epochs 25" in text
    assert "first maps by matching and network" in text
    assert "numbers 200001 to 200002" in text
