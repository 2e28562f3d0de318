"""The map of trust: regions of wrong values in white noise, and in a simulated thigh with aliasing."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from spokestream import simulate
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.messages import NOWHERE, Fingerprints, ParameterMaps
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.gadgets.quality.trust import at_limits
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.truth import read_truth
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.physics.quantities import AT_LIMIT, MISFIT, QUANTITIES, TRUSTED, wrong_code
from spokestream.simulator.physics.signal import voxel_signal
from spokestream.simulator.physics.temporal_basis import frame_means
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

SHAPE = (47, 51)
CENTRE = (23, 25)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
FROM_CENTRE = np.hypot(Y - CENTRE[0], X - CENTRE[1])
FOREGROUND = FROM_CENTRE < 22
REGION = FROM_CENTRE <= 4
"""49 voxels."""
FALSE_ALARMS = 0.02
"""Largest fraction of the voxels of right maps that are called wrong."""
ERRORS = {"t1h2o": 150.0, "deltaf": 10.0, "b1": 0.04}
"""Errors that the noise of a single voxel hides."""


def lean_muscle(rng):
    """The true maps of lean muscle with smooth off-resonance and B1, and texture of FF and water T1."""
    maps = {
        "ff": 0.1 + 0.02 * rng.standard_normal(SHAPE), "t1h2o": 1300 + 20 * rng.standard_normal(SHAPE),
        "t1fat": np.full(SHAPE, 340.0), "deltaf": 0.5 * (X - CENTRE[1]), "b1": 0.75 + 0.003 * (Y - CENTRE[0]),
    }  # fmt: skip
    return {name: np.where(FOREGROUND, value, 0).astype(np.float32) for name, value in maps.items()}


def measured(dictionary, basis, maps, rng):
    """Fingerprints with noise of a tenth of the mean frame, and aliasing of a fifth of each frame's signal."""
    voxels = {name: values[FOREGROUND].astype(float) for name, values in maps.items()}
    arguments = {"ff": "ff", "t1h2o": "t1h2o_ms", "t1fat": "t1fat_ms", "deltaf": "deltaf_hz", "b1": "b1"}
    signal = voxel_signal(dictionary.sequence, **{arguments[name]: values for name, values in voxels.items()})
    signal = frame_means(signal.real, 8) + 1j * frame_means(signal.imag, 8)
    sigma = np.hypot(0.1 * np.abs(signal).mean(), 0.2 * np.sqrt(np.mean(np.abs(signal) ** 2, axis=0)))
    signal += sigma * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    data = np.zeros((len(basis.te_ms), *SHAPE), np.complex64)
    data[:, FOREGROUND] = (signal @ basis.weights).T
    return Fingerprints(data, basis, FOREGROUND, 0, NOWHERE)


@pytest.fixture(scope="module")
def true_slice(dictionary, basis):
    """A slice with its true maps."""
    rng = np.random.default_rng(3)
    maps = lean_muscle(rng)
    return ParameterMaps(maps, 0, NOWHERE, FOREGROUND, measured(dictionary, basis, maps, rng))


@pytest.fixture
def example(scan, dictionary, basis, true_slice):
    """The physics check, and the slice."""
    scan, message = replace(scan, sequence=dictionary.sequence), true_slice
    return PhysicsCheck(scan, WATER_FAT.closed_form(dictionary.sequence, basis)), message


def trust(example, **changes):
    """The map of trust of the example with other maps."""
    check, message = example
    (found,) = check.feed(replace(message, maps=message.maps | changes))
    return found.maps["trust"]


def is_wrong(codes):
    return ~np.isin(codes, (TRUSTED, MISFIT, AT_LIMIT))


def test_true_maps_are_trusted(example):
    codes = trust(example)
    assert not codes[~FOREGROUND].any()
    assert np.mean(is_wrong(codes[FOREGROUND])) <= FALSE_ALARMS
    assert np.mean(codes[FOREGROUND] == MISFIT) < 0.01


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", list(ERRORS))
def test_a_region_with_a_wrong_value_is_found_with_the_direction_of_the_error(example, name, sign):
    before = trust(example)
    codes = trust(example, **{name: example[1].maps[name] + np.float32(sign * ERRORS[name]) * REGION})
    assert np.mean(codes[REGION] == -sign * wrong_code(QUANTITIES[name])) >= 0.9
    # within the reach of a sum over neighbours, right voxels may get the code of the region, others may not
    assert np.array_equal(codes[FROM_CENTRE > 17], before[FROM_CENTRE > 17])
    assert np.mean(is_wrong(codes[FOREGROUND & (FROM_CENTRE > 12)])) <= FALSE_ALARMS


def test_an_error_of_the_whole_slice_is_found(example):
    water_t1 = np.where(FOREGROUND, example[1].maps["t1h2o"] - np.float32(100), np.float32(0))
    assert np.mean(trust(example, t1h2o=water_t1)[FOREGROUND] == wrong_code(QUANTITIES["t1h2o"])) > 0.95


def test_other_reasons_are_limits_of_the_method_and_a_signal_that_is_not_explained(example):
    check, message = example
    maps = {name: values.copy() for name, values in message.maps.items()}
    maps["b1"][23, 10:13] = 0.3
    maps["ff"][15, 33] += 0.4
    maps["t1h2o"][35, 22] = np.nan
    (found,) = check.feed(replace(message, maps=maps, limits={"b1": (0.3, 1.0)}))
    codes = found.maps["trust"]
    assert codes[23, 10:13].tolist() == [AT_LIMIT] * 3
    assert codes[15, 33] == MISFIT
    assert codes[35, 22] == MISFIT


def test_a_value_without_meaning_is_not_judged(example):
    """Fat T1 has no meaning in lean muscle, and nothing in the signal says that it is wrong."""
    assert not np.isin(trust(example, t1fat=np.full(SHAPE, 470, np.float32)), (3, -3)).any()


@pytest.fixture(scope="module")
def thigh(tmp_path_factory):
    """A thigh of 96 pixels: the physics check, the message with refined maps, and the truth."""
    path = tmp_path_factory.mktemp("thigh") / "scan.h5"
    simulate(path, matrix=96, coils=4, seed=3, inversion_efficiency=0.95)
    scan = read_scan(path)
    gadgets = start_scan(select("mrf_t1ff"), scan.xml, logging.getLogger("test")).gadgets
    (place,) = (i for i, gadget in enumerate(gadgets) if isinstance(gadget, PhysicsCheck))
    (refined,) = (m for m in run_chain(Chain(gadgets[:place]), scan) if isinstance(m, ParameterMaps))
    return gadgets[place], refined, read_truth(path.with_suffix(".truth.h5"))


def test_refined_maps_and_true_maps_are_trusted_in_spite_of_aliasing(thigh):
    check, refined, truth = thigh
    true = {name: np.nan_to_num(truth.maps[name][0]) for name in WATER_FAT.names}
    mask = refined.foreground & truth.tissue[0]
    for maps, foreground in ((refined.maps, refined.foreground), (true, mask)):
        (found,) = check.feed(replace(refined, maps=maps, foreground=foreground))
        assert np.mean(is_wrong(found.maps["trust"][foreground])) <= FALSE_ALARMS


@pytest.mark.parametrize(("name", "error"), [("t1h2o", 150.0), ("deltaf", -10.0)])
def test_errors_of_refined_maps_are_found_in_muscle(thigh, name, error):
    check, refined, truth = thigh
    muscle = np.isin(truth.label[0], [i for i, n in enumerate(truth.names) if n.startswith(("left ", "right "))])
    lean = muscle & (truth.purity[0] == 1) & (refined.maps["ff"] < 0.5)
    places = np.argwhere(lean)
    middle = places[np.argmin(np.hypot(*(places - places.mean(0)).T))]
    region = tuple(places[np.argsort(np.hypot(*(places - middle).T))[:50]].T)
    maps = refined.maps | {name: refined.maps[name].copy()}
    maps[name][region] += np.float32(error)
    (found,) = check.feed(replace(refined, maps=maps))
    assert np.mean(found.maps["trust"][region] == -np.sign(error) * wrong_code(QUANTITIES[name])) > 0.6


def test_values_at_the_range_of_their_parameter_are_at_a_limit(example):
    """Fluid is beyond the longest water T1; but water T1 has no meaning in fat, and a fraction of 0 is none."""
    check, message = example
    maps = {name: values.copy() for name, values in message.maps.items()}
    maps["t1h2o"][23, 10:15] = 2300
    maps["ff"][23, 12:15] = 0.95
    maps["ff"][30, 20] = 0
    (found,) = check.feed(replace(message, maps=maps))
    codes = found.maps["trust"]
    assert codes[23, 10:12].tolist() == [AT_LIMIT] * 2
    assert (codes[23, 12:15] != AT_LIMIT).all()
    assert codes[30, 20] != AT_LIMIT


def test_a_map_with_one_possible_value_is_at_no_limit():
    values = {"ff": 0.0, "t1h2o": 1200.0, "t1fat": 340.0, "deltaf": 120.0, "b1": 0.8}
    maps = {name: np.full((4, 5), value, np.float32) for name, value in values.items()}
    message = ParameterMaps(maps, 0, NOWHERE, np.ones((4, 5), bool), limits={"b1": (0.8, 0.8)})
    found = at_limits(WATER_FAT, message)
    assert found.keys() == {"t1h2o", "t1fat", "deltaf"}
    assert [name for name, reached in found.items() if reached.all()] == ["deltaf"]
