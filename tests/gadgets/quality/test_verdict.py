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


def judged(image=IMAGE, fit=FIT, body=0.3, matrix=96, covered=1.0, most_flagged=MOST_FLAGGED_BY_SEARCH):
    return verdict(image, fit, body, matrix, covered, most_flagged)


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
    for spokes, factor in ((1400, 1.0), (2304, 1.0), (350, 2.0)):
        for part, good in ((0.99, True), (1.01, False)):
            fit = FitEvidence(part * factor * limit, 0.0, {})
            found = verdict(IMAGE, fit, 0.3, 256, 1.0, MOST_FLAGGED_BY_SEARCH, spokes)
            assert (found is None) == good
