"""Map denoising as a step of a chain."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from spokestream.errors import ScanError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.gadgets.map_denoising import MapDenoising
from spokestream.gadgets.messages import NOWHERE, Fingerprints, ParameterMaps
from spokestream.gadgets.network.denoiser import Denoiser, DenoiserCard
from spokestream.gadgets.quality.trust import at_limits
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

SHAPE = (7, 9)
VALUES = {"ff": 0.3, "t1h2o": 1300.0, "t1fat": 340.0, "deltaf": 23.0, "b1": 0.72}
STD = {"ff": 0.02, "t1h2o": 40.0, "t1fat": 20.0, "deltaf": 2.0, "b1": 0.02}


class Halver:
    """In the place of a network: it moves every unknown by a tenth, and knows it to a hundredth."""

    def __call__(self, features, unknowns):
        return torch.cat([unknowns + 0.1, torch.full_like(unknowns, 0.01)], 1)


@pytest.fixture
def denoiser():
    return Denoiser(DenoiserCard("water_fat", CONSISTENT, 2, 1.0, 1.3), Halver(), "0123456789ab")


@pytest.fixture
def closed_form(dictionary, basis):
    return WATER_FAT.closed_form(dictionary.sequence, basis)


@pytest.fixture
def message(closed_form, basis):
    """Maps of one tissue in consistent images, of which one voxel has no number and a corner is air."""
    signal = closed_form.at(*(torch.tensor([value]) for value in VALUES.values()))[0].numpy()[0] * basis.noise
    data = np.broadcast_to(signal[:, None, None], (len(signal), *SHAPE)).astype(np.complex64)
    tissue = np.ones(SHAPE, bool)
    tissue[:2, :3] = False
    maps = {name: np.where(tissue, value, 0).astype(np.float32) for name, value in VALUES.items()}
    maps |= {f"{name}_std": np.where(tissue, value, 0).astype(np.float32) for name, value in STD.items()}
    maps["ff"][5, 5] = np.nan
    maps["t1fat"][4, 4] = 0
    fingerprints = Fingerprints(data, basis, tissue, 1, NOWHERE, seen=0.8)
    return ParameterMaps(maps, 1, NOWHERE, tissue, fingerprints)


def test_maps_are_moved_with_new_standard_deviations(scan, closed_form, denoiser, message):
    (out,) = MapDenoising(scan, closed_form, denoiser).feed(message)
    usual = message.foreground.copy()
    usual[5, 5] = usual[4, 4] = False
    for name in VALUES:
        assert (out.maps[name][usual] > message.maps[name][usual]).all()
        assert (out.maps[f"{name}_std"][usual] < message.maps[f"{name}_std"][usual]).all()
        assert not out.maps[name][~message.foreground].any()
    assert out.maps["t1fat"][4, 4] == 0  # a voxel without fat has no T1 of it
    assert np.isnan(out.maps["ff"][5, 5])
    assert out.maps["t1h2o"][5, 5] == message.maps["t1h2o"][5, 5]
    assert scan.provenance["denoising"] == "by a network over maps, 0123456789ab"


def test_values_at_a_limit_of_the_method_stay_there(scan, closed_form, denoiser, message):
    """The truth lies beyond, and the map of trust says so; but no fraction is below 0."""
    maps = {name: values.copy() for name, values in message.maps.items()}
    maps["t1h2o"][3, 3], maps["ff"][3, 4] = 2000, 0
    given = replace(message, maps=maps, limits={"ff": (0.0, 1.0), "t1h2o": (500.0, 2000.0)})
    (out,) = MapDenoising(scan, closed_form, denoiser).feed(given)
    assert (out.maps["t1h2o"][3, 3], out.maps["t1h2o_std"][3, 3]) == (2000, STD["t1h2o"])
    assert out.maps["b1"][3, 3] > VALUES["b1"]
    assert out.maps["ff"][3, 4] > 0


def test_fluids_whose_water_t1_is_longer_than_any_are_at_the_longest_and_marked(scan, closed_form, denoiser, message):
    """The map of trust then says that the truth may lie beyond; in fat, water T1 has no meaning."""
    maps = {name: values.copy() for name, values in message.maps.items()}
    maps["t1h2o"][3, 3:6] = 2300 * np.exp(-0.06, dtype=np.float32)  # the network moves it to a hundredth of its unit
    maps["t1h2o"][3, 4] = 1900
    maps["ff"][3, 5] = 0.9
    (out,) = MapDenoising(scan, closed_form, denoiser).feed(replace(message, maps=maps))
    assert out.maps["t1h2o"][3, 3] == 2300
    assert (out.maps["t1h2o"][3, 4:6] < 2300).all()
    assert at_limits(WATER_FAT, out)["t1h2o"][3, 3:6].tolist() == [True, False, False]


def in_adjoint(message):
    return replace(message, fingerprints=replace(message.fingerprints, seen=None))


def test_maps_of_other_images_are_passed_on_with_a_warning(scan, closed_form, denoiser, message, caplog):
    of_adjoint = replace(denoiser, card=replace(denoiser.card, images=ADJOINT))
    without = replace(message, maps={name: message.maps[name] for name in VALUES})
    for network, given in (
        (denoiser, in_adjoint(message)), (of_adjoint, message), (denoiser, without),
        (denoiser, replace(message, fingerprints=None)),
    ):  # fmt: skip
        with caplog.at_level(logging.WARNING):
            assert list(MapDenoising(scan, closed_form, network).feed(given)) == [given]
        expected = f"Slice 2 was not denoised, because its maps were not refined in {network.card.images} images."
        assert expected in caplog.text
        caplog.clear()


def test_maps_in_images_of_the_adjoint_have_a_denoiser_of_their_own(scan, closed_form, denoiser, message):
    of_adjoint = replace(denoiser, card=replace(denoiser.card, images=ADJOINT))
    (out,) = MapDenoising(scan, closed_form, of_adjoint).feed(in_adjoint(message))
    assert out.maps["b1"][3, 3] > VALUES["b1"]


def test_a_slice_has_the_denoiser_of_its_images(scan, closed_form, denoiser, message):
    """One whose images could not be made consistent stays one of the adjoint."""
    of_adjoint = replace(denoiser, card=replace(denoiser.card, images=ADJOINT), digest="of the adjoint")
    gadget = MapDenoising(scan, closed_form, denoiser, of_adjoint)
    for given, digest in ((message, denoiser.digest), (in_adjoint(message), "of the adjoint")):
        (out,) = gadget.feed(given)
        assert out.maps["b1"][3, 3] > VALUES["b1"]
        assert scan.provenance["denoising"] == f"by a network over maps, {digest}"


def test_other_readouts_than_spokes_are_left_alone_and_the_provenance_says_so(
    scan, closed_form, denoiser, message, caplog
):
    gadget = MapDenoising(scan, closed_form, denoiser)
    of_spirals = replace(message, fingerprints=replace(message.fingerprints, straight=False))
    assert list(gadget.feed(of_spirals)) == [of_spirals]
    assert scan.provenance["denoising"] == "none"
    assert not caplog.text
    list(gadget.feed(message))
    assert scan.provenance["denoising"].startswith("by a network")


def test_a_slice_without_tissue_passes(scan, closed_form, denoiser, message):
    empty = replace(message, foreground=np.zeros(SHAPE, bool))
    assert list(MapDenoising(scan, closed_form, denoiser).feed(empty)) == [empty]


def test_a_denoiser_of_another_tissue_model_is_refused(scan, closed_form, denoiser):
    other = replace(denoiser, card=replace(denoiser.card, tissue_model=RELAXATION.name))
    with pytest.raises(ScanError, match="The denoiser is for maps of"):
        MapDenoising(scan, closed_form, other)
