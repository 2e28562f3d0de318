"""The inversion efficiency, estimated from fingerprints that another engine simulated."""

import logging

import numpy as np
import pytest
import torch
from oracle_network import Oracle

from spokestream.errors import ScanError
from spokestream.gadgets.messages import Fingerprints, Geometry
from spokestream.gadgets.model_fit.inversion import EXPECTED, inversion_efficiency
from spokestream.gadgets.network.archive import NetworkArchive
from spokestream.gadgets.network.contract import Contract, Output
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference, halved
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.signal import FAT_T2_MS, WATER_T2_MS
from spokestream.simulator.physics.temporal_basis import frame_means
from spokestream.simulator.physics.tissue_models.water_fat import WaterFatSignal

SHAPE = (83, 91)
T1_MS, FAT_T1_MS, B1 = (1150.0, 1300.0, 1500.0), 340.0, (0.65, 0.85)


@pytest.fixture(scope="module")
def closed_form(dictionary, basis):
    return WaterFatSignal(dictionary.sequence, basis)


def exam(dictionary, basis, efficiency, rng):
    """Coefficients (K, y, x) of muscle at all stages of fatty replacement, with the noise of few spokes, and maps."""
    t1 = rng.integers(len(T1_MS), size=SHAPE)
    b1 = rng.integers(len(B1), size=SHAPE)
    ff, deltaf = rng.uniform(0, 0.9, SHAPE), rng.uniform(-40, 40, SHAPE)
    sequence = dictionary.sequence
    t1_of, b1_of = np.meshgrid(T1_MS, B1, indexing="ij")

    def frames(t1_ms, t2_ms):
        trains = fingerprint(sequence, t1_ms, t2_ms, b1=b1_of, inversion_efficiency=efficiency, engine="bloch")
        return frame_means(np.asarray(trains).real, basis.spokes_per_frame)

    te_ms = sequence.te_ms[:: basis.spokes_per_frame]
    water, fat = frames(t1_of, WATER_T2_MS)[t1, b1], frames(FAT_T1_MS + 0 * t1_of, FAT_T2_MS)[t1, b1]
    signal = (1 - ff[..., None]) * water + ff[..., None] * fat * FatModel().phasor(te_ms)
    signal = signal * np.exp(-2j * np.pi * deltaf[..., None] * te_ms * 1e-3)
    aliasing = 0.2 * np.abs(signal) + 0.1 * np.abs(signal).mean()
    signal = signal + aliasing * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    coefficients = np.tensordot(3j * signal, basis.weights, 1).transpose(2, 0, 1)
    maps = {"ff": ff, "t1h2o": np.take(T1_MS, t1), "t1fat": np.full(SHAPE, FAT_T1_MS), "deltaf": deltaf}
    maps["b1"] = np.take(B1, b1)
    return coefficients.astype(np.complex64), {name: np.float32(values) for name, values in maps.items()}


@pytest.mark.parametrize("efficiency", [0.88, 0.95, 1.0])
def test_it_is_found_to_half_a_percent(dictionary, basis, closed_form, efficiency):
    coefficients, maps = exam(dictionary, basis, efficiency, np.random.default_rng(1))
    found = inversion_efficiency(coefficients, basis, maps, np.ones(SHAPE, bool), closed_form)
    assert found == pytest.approx(efficiency, abs=0.005)


def test_voxels_without_numbers_do_not_count(dictionary, basis, closed_form):
    coefficients, maps = exam(dictionary, basis, 0.88, np.random.default_rng(1))
    maps["b1"][40, 50], maps["ff"][3] = np.nan, np.inf
    found = inversion_efficiency(coefficients, basis, maps, np.ones(SHAPE, bool), closed_form)
    assert found == pytest.approx(0.88, abs=0.005)


def test_maps_that_were_made_for_another_efficiency_give_the_same_estimate(dictionary, basis, closed_form):
    # these maps assume a perfect inversion, so that the efficiency makes the T1 of water and fat wrong
    coefficients, maps = exam(dictionary, basis, 0.95, np.random.default_rng(2))
    wrong = {**maps, "t1h2o": 0.95 * maps["t1h2o"], "t1fat": 0.97 * maps["t1fat"], "b1": 1.01 * maps["b1"]}
    found = inversion_efficiency(coefficients, basis, wrong, np.ones(SHAPE, bool), closed_form)
    assert found == pytest.approx(0.95, abs=0.008)


def test_the_closed_form_is_linear_in_the_efficiency(dictionary, basis, closed_form):
    rng = np.random.default_rng(3)
    tissue = [torch.tensor(rng.uniform(*span, 40), dtype=torch.float32) for span in ((0, 1), (600, 2000), (250, 450))]
    tissue += [torch.zeros(40), torch.tensor(rng.uniform(0.4, 1.1, 40), dtype=torch.float32)]
    for efficiency in (0.8, 0.97):
        found, derivatives = closed_form.at(*tissue, efficiency=efficiency, by_efficiency=True)
        wanted = _exact(dictionary, basis, [t.numpy() for t in tissue], efficiency)
        error = np.linalg.norm(found.numpy() - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
        assert error.max() < 2e-3
        ahead = _exact(dictionary, basis, [t.numpy() for t in tissue], efficiency + 0.01)
        quotient = (ahead - wanted) / 0.01
        error = np.linalg.norm(derivatives[:, 5].numpy() - quotient, axis=1) / np.linalg.norm(quotient, axis=1)
        assert error.max() < 0.02


def _exact(dictionary, basis, tissue, efficiency):
    ff, t1h2o, t1fat, _, b1 = tissue
    sequence = dictionary.sequence
    water = fingerprint(sequence, t1h2o, WATER_T2_MS, b1=b1, inversion_efficiency=efficiency, engine="bloch")
    fat = fingerprint(sequence, t1fat, FAT_T2_MS, b1=b1, inversion_efficiency=efficiency, engine="bloch")
    mixed = (1 - ff[:, None]) * water.real + ff[:, None] * fat.real * FatModel().phasor(sequence.te_ms)
    return frame_means(mixed, basis.spokes_per_frame) @ basis.weights / basis.noise


def test_without_a_voxel_it_is_the_expected_efficiency(dictionary, basis, closed_form):
    coefficients, maps = exam(dictionary, basis, 0.9, np.random.default_rng(4))
    assert inversion_efficiency(coefficients, basis, maps, np.zeros(SHAPE, bool), closed_form) == EXPECTED


@pytest.mark.parametrize("fraction", [1.0, 0.3])
def test_the_number_of_threads_changes_no_bit(dictionary, basis, closed_form, fraction):
    rng = np.random.default_rng(6)
    coefficients, maps = exam(dictionary, basis, 0.93, rng)
    mask = rng.random(SHAPE) < fraction
    found, before = set(), torch.get_num_threads()
    for threads in (1, 2, 3, 4):
        torch.set_num_threads(threads)
        found.add(inversion_efficiency(coefficients, basis, maps, mask, closed_form))
    torch.set_num_threads(before)
    assert len(found) == 1


def test_only_as_many_voxels_are_used_as_suffice(dictionary, basis, monkeypatch):
    monkeypatch.setattr("spokestream.gadgets.model_fit.inversion.MOST_VOXELS", 4000)
    coefficients, maps = exam(dictionary, basis, 0.93, np.random.default_rng(7))
    taken = []

    class Counting(WaterFatSignal):
        def at(self, *parameters, **keywords):
            taken.append(len(parameters[0]))
            return super().at(*parameters, **keywords)

    inversion_efficiency(coefficients, basis, maps, np.ones(SHAPE, bool), Counting(dictionary.sequence, basis))
    assert np.prod(SHAPE) == 7553
    assert taken[0] == 3777  # every other one


RANGES = {"ff": (0, 1), "t1h2o": (0, 2300), "t1fat": (0, 475), "deltaf": (-120, 120), "b1": (0, 1.3)}


def slice_and_oracle(dictionary, basis, efficiency, trained):
    """A slice, and an oracle for a range of efficiencies, which it gives as the standard deviation of off-resonance."""
    coefficients, maps = exam(dictionary, basis, efficiency, np.random.default_rng(5))
    normalised = np.stack([(maps[name] - low) / (high - low) for name, (low, high) in RANGES.items()])
    outputs = tuple(Output(name, float(low), float(high), name == "deltaf") for name, (low, high) in RANGES.items())
    contract = Contract("oracle", dictionary.sequence, basis, 6, 0, 1, 16, outputs, trained)
    archive = NetworkArchive(contract, torch.jit.script(Oracle(normalised).eval()), "0123456789ab")
    ny, nx = SHAPE
    header = ScanHeader("", (2 * nx, 2 * ny, 1), (2.0 * nx, 2.0 * ny, 8.0), (nx, ny, 1), (1.0 * nx, 1.0 * ny, 8.0))
    scan = ScanContext(header, dictionary.sequence, threads=1, log=logging.getLogger("test"))
    gadget = NetworkInference(scan, TiledNetwork(archive, "cpu", "float32"))
    geometry = Geometry((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (nx, ny, 8))
    return Fingerprints(coefficients, basis, np.ones(SHAPE, bool), 4, geometry), gadget


def nominal(maps):
    """The nominal efficiency that the oracle got, the same in every voxel."""
    values = np.unique(maps.maps["deltaf_std"] / 240)
    assert np.ptp(values) < 1e-6
    return values[0]


def test_a_conditioned_network_gets_the_efficiency_of_the_slice(dictionary, basis, caplog):
    message, gadget = slice_and_oracle(dictionary, basis, 0.9, trained=(0.85, 1.0))
    (found,) = gadget.feed(message)
    assert found.inversion_efficiency == pytest.approx(0.9, abs=0.01)
    assert nominal(found) == pytest.approx(found.inversion_efficiency, abs=1e-6)
    assert not caplog.records


def test_outside_the_trained_range_the_network_gets_its_nearest_end_and_the_client_a_warning(dictionary, basis, caplog):
    message, gadget = slice_and_oracle(dictionary, basis, 0.85, trained=(0.9, 1.0))
    (found,) = gadget.feed(message)
    assert found.inversion_efficiency == pytest.approx(0.85, abs=0.01)
    assert nominal(found) == pytest.approx(0.9, abs=1e-6)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"The inversion efficiency in slice 5 is {found.inversion_efficiency:.2f}, but the network was trained for "
        "0.90 to 1.00: T1 may be wrong."
    )


def test_half_a_percent_outside_the_trained_range_gives_no_warning(dictionary, basis, caplog):
    message, gadget = slice_and_oracle(dictionary, basis, 0.895, trained=(0.9, 1.0))
    (found,) = gadget.feed(message)
    assert found.inversion_efficiency < 0.9
    assert nominal(found) == pytest.approx(0.9, abs=1e-6)
    assert not caplog.records


def test_the_efficiency_is_also_found_with_a_network_that_is_not_conditioned_on_it(dictionary, basis):
    message, gadget = slice_and_oracle(dictionary, basis, 0.9, trained=None)
    (found,) = gadget.feed(message)
    assert nominal(found) == 1
    assert found.inversion_efficiency == pytest.approx(0.9, abs=0.01)


def test_halved_slices_are_means_of_four_pixels_that_are_all_inside(rng):
    coefficients = (rng.standard_normal((3, 7, 11)) + 1j * rng.standard_normal((3, 7, 11))).astype(np.complex64)
    foreground = rng.random((7, 11)) < 0.8
    images, inside = halved(coefficients, foreground)
    assert images.shape == (3, 3, 5)
    assert images.dtype == np.complex64
    for y, x in np.ndindex(3, 5):
        block = np.s_[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        assert inside[y, x] == foreground[block].all()
        np.testing.assert_allclose(images[:, y, x], [plane[block].mean() for plane in coefficients], rtol=1e-6)
    assert 0 < inside.sum() < inside.size


def test_preliminary_maps_of_a_large_slice_are_halved_and_of_a_small_one_whole(dictionary, basis, monkeypatch):
    message, gadget = slice_and_oracle(dictionary, basis, 0.9, trained=(0.85, 1.0))
    for fewest, shape in ((SHAPE[0] // 2 * (SHAPE[1] // 2), (SHAPE[0] // 2, SHAPE[1] // 2)), (2000, SHAPE)):
        monkeypatch.setattr("spokestream.gadgets.network_inference.FEWEST_VOXELS", fewest)
        taken = []

        def maps(coefficients, foreground, efficiency, taken=taken):
            taken.append(foreground.shape)
            raise MemoryError("enough")

        monkeypatch.setattr(gadget, "_maps", maps)
        with pytest.raises(ScanError, match="enough"):
            list(gadget.feed(message))
        assert taken == [shape]
