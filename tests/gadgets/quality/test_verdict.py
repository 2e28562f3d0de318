"""The verdict on a slice: every cause alone, and the order in which several are named."""

import re
from dataclasses import replace

import numpy as np
import pytest

from spokestream.gadgets.quality.image_evidence import ImageEvidence
from spokestream.gadgets.quality.verdict import (
    MOST_FLAGGED_BY_NETWORK,
    MOST_FLAGGED_BY_SEARCH,
    UNEXPLAINED_ALWAYS,
    UNEXPLAINED_PER_PIXEL,
    FitEvidence,
    verdict,
)

IMAGE = ImageEvidence(contrast=30, ring=0.2, corners=0.01, rim=0.15)
FIT = FitEvidence(unexplained=0.08, flagged=0.02, at_limit={"deltaf": 0.001, "b1": 0.002})


def judged(image=IMAGE, fit=FIT, body=0.3, matrix=96, covered=1.0, most_flagged=MOST_FLAGGED_BY_SEARCH, spokes=1400):
    return verdict(image, fit, body, matrix, covered, most_flagged, spokes)


def test_a_good_slice_has_no_verdict():
    assert judged() is None
    assert judged(image=replace(IMAGE, contrast=np.inf)) is None  # there is no background
    assert judged(fit=replace(FIT, at_limit={})) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image": replace(IMAGE, contrast=1.1)}, "there is nothing but noise; check that the patient"),
        ({"image": replace(IMAGE, contrast=2.0)}, "does not stand out from streaks and noise; check the trajectory"),
        ({"image": replace(IMAGE, ring=4.0)}, "strongest away from the centre of k-space; check center_sample"),
        ({"image": replace(IMAGE, corners=0.3)}, "reach beyond the resolution of the image; check encoded and recon"),
        ({"image": replace(IMAGE, rim=0.004)}, "do not reach the resolution that the header states; check encoded"),
        ({"body": 0.8}, r"tissue fills 80\.0% of the image; check the field of view"),
        ({"body": 0.001}, r"tissue fills 0\.1% of the image"),
        ({"fit": replace(FIT, unexplained=0.24)}, "leave 24% of the signal unexplained, 16% at most are usual; check"),
        ({"fit": replace(FIT, flagged=0.5)}, "do not explain the measured signal in 50% of the voxels; check sequence"),
        ({"fit": replace(FIT, at_limit={"deltaf": 0.3})}, "deltaf is at its lowest or highest possible value in 30%"),
    ],
)
def test_every_cause_is_named_with_what_to_check(changes, sentence):
    assert re.search(sentence, judged(**changes).sentence)


def test_an_image_that_is_interpolated_to_more_pixels_has_an_empty_rim():
    assert judged(image=replace(IMAGE, rim=0.0001), covered=0.5) is None


def test_more_aliasing_is_usual_in_a_larger_matrix():
    fit = replace(FIT, unexplained=0.2)
    assert judged(fit=fit, matrix=96).reason == "the maps do not explain the signal"
    assert judged(fit=fit, matrix=350) is None


def test_a_network_may_have_fewer_flagged_voxels_than_a_search():
    fit = replace(FIT, flagged=0.2)
    assert judged(fit=fit) is None
    assert judged(fit=fit, most_flagged=MOST_FLAGGED_BY_NETWORK).reason == "the signal contradicts the maps"


def test_noise_is_named_before_all_that_follows_from_it():
    nothing = judged(replace(IMAGE, contrast=1.0, ring=3.0), replace(FIT, unexplained=0.9), body=0.9)
    assert nothing.reason == "there is nothing but noise"


def test_fewer_spokes_may_leave_more_unexplained():
    """Both noise and aliasing: the energy is inversely proportional to the number of spokes."""
    limit = (UNEXPLAINED_ALWAYS + UNEXPLAINED_PER_PIXEL * 256) ** 0.5
    for spokes, factor in ((1400, 1.0), (2304, 1.0), (700, 2**0.5)):
        for part, good in ((0.99, True), (1.01, False)):
            fit = FitEvidence(part * factor * limit, 0.0, {})
            found = verdict(IMAGE, fit, 0.3, 256, 1.0, MOST_FLAGGED_BY_SEARCH, spokes)
            assert (found is None) == good


# a clean brain of 64 pixels with 200 spiral arms, and the same with their order reversed; one coil
CLEAN = replace(IMAGE, contrast=5.8), FitEvidence(0.69, 0.025, {"t2": 0.091}, left_by_inversion=0.13)
WRONG = replace(IMAGE, contrast=np.inf), FitEvidence(0.94, 0.06, {"t2": 0.24}, left_by_inversion=0.56)


def test_the_aliasing_of_few_readouts_is_not_taken_for_a_wrong_trajectory():
    image, fit = CLEAN
    assert judged(replace(image, contrast=11), fit, 0.47, spokes=200) is None
    for changes in ({"body": 0.58}, {"image": replace(image, contrast=11), "body": 0.83}):
        found = judged(**{"image": image, "fit": fit, "spokes": 200} | changes)
        assert found.reason == "aliasing is as bright as tissue"
        assert "check" not in found.sentence


def test_a_wrong_trajectory_of_few_readouts_shows_in_iterative_images():
    image, fit = WRONG
    assert judged(image, fit, 0.6, spokes=200).reason == "the maps do not explain the signal"
    assert "check the field of view and the trajectory" in judged(image, fit, 1.0, spokes=200).sentence


def test_without_iterative_images_few_readouts_leave_the_cause_open():
    for image, fit in (CLEAN, WRONG):
        found = judged(image, replace(fit, left_by_inversion=None), 0.6, spokes=200)
        assert found.sentence.startswith("the aliasing of 200 readouts hides whether trajectory, field of view and")
    assert judged(spokes=200) is None


def test_many_spokes_are_judged_by_the_images_of_the_adjoint():
    image, fit = CLEAN
    assert judged(image, fit, 0.58, spokes=576).reason == "tissue does not stand out from streaks and noise"


@pytest.mark.parametrize(("unexplained", "left", "good"), [(0.196, 0.087, True), (0.364, 0.160, False)])
def test_more_readouts_leave_less_in_iterative_images(unexplained, left, good):
    """A brain of 48 pixels with 1,000 spiral arms: clean, and late by eight arms."""
    fit = FitEvidence(unexplained, 0.0, {}, left)
    assert (judged(fit=fit, matrix=48, spokes=1000) is None) == good
