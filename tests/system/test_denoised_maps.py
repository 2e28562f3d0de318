"""The setting `denoise`: maps of matching against the truth, and where there is no denoiser."""

import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.models.archives import denoiser_path
from spokestream.pipelines.api import reconstruct
from spokestream.pipelines.files.truth import read_truth
from spokestream.simulator.scan_files.scan_file import truth_path


@pytest.fixture(scope="module", params=[ADJOINT, CONSISTENT])
def images(request):
    """The images to map."""
    return request.param


@pytest.fixture(scope="module")
def maps(thigh, images):
    """The maps of matching in these images, as they are, and denoised."""
    return {
        denoise: reconstruct(thigh, "mrf_t1ff", images=images, denoise=denoise, threads=1) for denoise in ("off", "on")
    }


@pytest.mark.parametrize("name", ["ff", "t1h2o", "t1fat", "b1"])
def test_errors_are_smaller_than_before(thigh, maps, name):
    truth = read_truth(truth_path(thigh))
    before, after = (found[name] for found in maps.values())
    mask = truth.tissue & ~truth.bone & (maps["off"]["b1"] > 0)
    mask &= {"t1h2o": truth.maps["ff"] < 0.7, "t1fat": truth.maps["ff"] > 0.3}.get(name, mask)
    mask &= np.isfinite(before) & np.isfinite(after)  # where a map has no meaning, it has no number
    assert mask.sum() > 300
    rms = [float(np.sqrt(np.mean((found - truth.maps[name])[mask] ** 2))) for found in (before, after)]
    assert rms[1] < 0.95 * rms[0]


def test_the_maps_say_that_they_are_denoised_and_are_judged_as_others(maps):
    assert maps["off"].provenance["denoising"] == "none"
    assert maps["on"].provenance["denoising"].startswith("by a network over maps, ")
    assert maps["on"].values.keys() == maps["off"].values.keys()
    np.testing.assert_array_equal(maps["on"]["b1"] > 0, maps["off"]["b1"] > 0)


def test_scans_with_other_pixels_are_left_alone_unless_somebody_asks(thigh, images, maps):
    found = reconstruct(thigh, "mrf_t1ff", images=images, threads=1)
    assert found.provenance["denoising"].startswith("none: it was trained for pixels of 1 to 1.29 mm, and")
    np.testing.assert_array_equal(found["ff"], maps["off"]["ff"])


def test_bits_do_not_depend_on_the_number_of_threads(thigh, images, maps, caplog):
    again = reconstruct(thigh, "mrf_t1ff", images=images, denoise="on", threads=3)
    assert "Denoising was trained for pixels of 1 to 1.29 mm" in caplog.text
    for name, values in maps["on"].values.items():
        np.testing.assert_array_equal(again.values[name], values, name)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"refine": "off"}, "Only maps that were refined in the compressed basis are denoised; leave out refine=off"),
        ({"basis": "frames", "refine": "on"}, "in the compressed basis are denoised; leave out basis=frames"),
        (
            {"images": "iterative"},
            "no denoiser for maps by matching in iterative images; set images=consistent, or leave",
        ),
    ],
)
def test_other_maps_are_not_denoised(thigh, settings, said):
    with pytest.raises(InputError, match=said):
        reconstruct(thigh, "mrf_t1ff", denoise="on", **settings)


def test_a_denoiser_serves_the_network_that_it_was_trained_for(thigh):
    found = reconstruct(thigh, "mrf_t1ff_net", images="consistent", denoise="on")
    assert found.provenance["denoising"].startswith("by a network over maps, ")
    with pytest.raises(
        InputError, match="There is no denoiser for maps by balsiger2020 in consistent images; leave out denoise"
    ):
        denoiser_path("water_fat", "balsiger2020", CONSISTENT)
