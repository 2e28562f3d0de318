"""A tissue model of somebody else goes through the chain, and all that asks a model serves it without an edit."""

import logging

import ismrmrd
import numpy as np
import pytest
import torch
from rich.console import Console
from toy_tissue import TOY, add_toy_model

from spokestream.gadgets.coil_compression import CoilCompression
from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.gridding import Gridding
from spokestream.gadgets.map_images import MapImages
from spokestream.gadgets.network.contract import Contract, Output
from spokestream.gadgets.network.contract_json import contract_json, parse_contract
from spokestream.gadgets.noise_whitening import NoiseWhitening
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation
from spokestream.models.training.inputs.targets import targets
from spokestream.pipelines.files import truth as truth_module
from spokestream.pipelines.files.outputs import ReconstructionReport, map_volumes, write_outputs
from spokestream.pipelines.run_chain import run_chain
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import pool_signal
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.registry import model_of_maps, model_of_sequence
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

MATRIX = (29, 31)  # (y, x)
SAMPLES, CENTER = 62, 31
PER_FRAME = 56  # a frame has spokes enough for the matrix: pi / 2 times 31


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    add_toy_model(monkeypatch)


@pytest.fixture
def sequence():
    flip = np.repeat([4.0, 9.0, 14.0, 7.0, 11.0, 5.0], PER_FRAME)
    te = np.full(len(flip), 2.4)
    return PulseSequence(
        "toy train", flip, te, te + 4.0, ti_ms=8.0, recovery_ms=900.0, repetitions=2, spokes_per_frame=PER_FRAME
    )


@pytest.fixture
def phantom():
    """T1 and B1 on the grid of the dictionary, two halves of a disc; where it is."""
    y, x = np.mgrid[: MATRIX[0], : MATRIX[1]]
    disc = np.hypot(y - 14, x - 15) < 11
    return {"toy_t1": np.where(x < 15, 700.0, 1500.0), "b1": np.where(x < 15, 1.0, 0.8)}, disc


def readouts(sequence, phantom):
    """The exact Fourier sum of every spoke, of two coils."""
    maps, disc = phantom
    y, x = np.nonzero(disc)
    signal = pool_signal(sequence, maps["toy_t1"][disc], maps["b1"][disc], 60.0)
    k = radial_spokes(golden_angles(np.arange(len(sequence))), SAMPLES, CENTER, 2.0)
    for index, positions in enumerate(k):
        cycles = np.outer(positions[:, 0], (x - 15) / 31) + np.outer(positions[:, 1], (y - 14) / 29)
        data = np.exp(-2j * np.pi * cycles) @ signal[:, index]
        readout = ismrmrd.Acquisition.from_array(np.stack([data, 0.5j * data]).astype(np.complex64))
        readout.center_sample, readout.scan_counter, readout.sample_time_us = CENTER, index, 2.0
        readout.idx.kspace_encode_step_1 = index
        readout.position[:], readout.read_dir[:] = (0, 0, 5), (1, 0, 0)
        readout.phase_dir[:], readout.slice_dir[:] = (0, 1, 0), (0, 0, 1)
        yield readout


@pytest.fixture
def images(sequence, phantom):
    header = ScanHeader("<ismrmrdHeader/>", (62, 58, 1), (62.0, 58.0, 8.0), (31, 29, 1), (31.0, 29.0, 8.0))
    scan = ScanContext(header, sequence, threads=1, log=logging.getLogger("test"))
    model = model_of_sequence(sequence)
    dictionary = model.dictionary(sequence, scan.field_t)
    basis = compressed_basis(sequence, dictionary.atoms)
    chain = Chain(
        [
            NoiseWhitening(scan),
            Readout(scan),
            CoilCompression(scan),
            SpokeAccumulation(scan),
            Gridding(scan, basis),
            DictionaryMatching(scan, model, dictionary),
            PhysicsCheck(scan, model.closed_form(sequence, basis, scan.field_t)),
            MapImages(scan),
        ]
    )
    return list(run_chain(chain, readouts(sequence, phantom)))


def test_its_maps_come_out_of_the_chain_as_images(images, phantom):
    maps, disc = phantom
    assert [image.image_series_index for image in images] == [105, 106, 107, 108, 109, 110, 118, 901]
    volumes = {name: volume[0] for name, volume in map_volumes(images).items()}
    inside = np.hypot(*np.mgrid[-14:15, -15:16]) < 8  # pixels at the rim hold a part of the air
    inside &= np.abs(np.mgrid[:29, :31][1] - 15) > 3  # and those in the middle a part of both halves
    for name, truth in maps.items():
        step = {"toy_t1": 100, "b1": 0.2}[name]
        assert np.abs(volumes[name] - truth)[inside].max() <= step, name  # the neighbour on the grid at most
    assert (volumes["toy_t1"] == maps["toy_t1"])[inside].mean() > 0.9
    assert not volumes["toy_t1"][~disc & (np.hypot(*np.mgrid[-14:15, -15:16]) > 14)].any()
    # the physics check used the model's closed form: with the values of the grid it explains nearly all of the signal
    assert np.median(volumes["residual"][inside]) < 0.02


def test_files_and_figures_know_it(images, tmp_path):
    write_outputs(
        tmp_path, images, "<ismrmrdHeader/>", ReconstructionReport("", "toy", 336, len(images), 1.0, 0.1, 100.0)
    )
    assert (tmp_path / "toy_t1.nii.gz").is_file()
    assert (tmp_path / "overview.png").stat().st_size > 10_000


def test_errors_are_summarised_over_its_own_regions(images, phantom):
    maps, disc = phantom
    volumes = {name: np.asarray(v[None], np.float32) for name, v in {**maps, "pd": disc * 1.0}.items()}
    truth = truth_module.Truth(volumes, disc[None].astype(np.uint8), ("air", "disc"), disc[None].astype(np.float32))
    found = {name: v for name, v in map_volumes(images).items() if name in volumes}
    rows = truth_module.map_errors(found, truth)
    assert [(row.name, row.tissue) for row in rows] == [
        ("toy_t1", "short T1"), ("toy_t1", "long T1"), ("b1", "short T1"), ("b1", "long T1"),
    ]  # fmt: skip
    console = Console(record=True, width=120)
    console.print(truth_module.error_table(rows))
    assert "Toy T1 (ms)" in console.export_text()


def test_training_targets_are_its_parameters():
    item = {"toy_t1": torch.tensor([[600.0, 3100.0]]), "b1": torch.tensor([[0.75, 0.3]]), "pd": torch.ones(1, 2)}
    item["foreground"] = torch.ones(1, 2, dtype=torch.bool)
    values, weights = targets(item, TOY, TOY.parameters)
    torch.testing.assert_close(values[:, 0, 0], torch.tensor([0.2, 0.5]))
    assert weights[:, 0].tolist() == [[1, 0], [1, 1]]  # a T1 beyond the range does not count


def test_a_network_can_be_described_against_it(sequence):
    basis = compressed_basis(sequence, TOY.dictionary(sequence).atoms)
    outputs = tuple(Output(p.name, p.low, p.high) for p in TOY.parameters)
    contract = Contract("toy-net", sequence, basis, 8, 0, 1, 16, outputs, (0.9, 1.0), tissue_model="toy")
    again = parse_contract(contract_json(contract))
    assert again.model is TOY
    assert again.gives_all


def test_it_is_found_by_its_maps():
    assert model_of_maps({"toy_t1", "b1", "pd"}) is TOY
    assert model_of_maps({"ff", "t1h2o", "t1fat", "deltaf", "b1"}).name == "water_fat"
