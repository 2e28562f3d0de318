"""Training on the atoms of a dictionary file: what is fed, what is held out, and that it finds T1 and T2."""

import argparse
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from spokestream.errors import FileError, InputError
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.models.datasets.atoms import AtomSet, add_noise
from spokestream.models.training.exporting import export
from spokestream.models.training.inputs.atom_batches import AtomBatches
from spokestream.models.training.inputs.normalisation import FrameMagnitude
from spokestream.models.training.loop import train
from spokestream.models.training.model_card import model_card
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.pipelines.cli.main import COMMANDS
from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.t1t2 import load_t1t2_dictionary, t1t2_grid
from spokestream.simulator.physics.sequences.loading import load_sequence


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return atoms_of(tmp_path_factory.mktemp("dictionary") / "atoms.h5", 40)


def atoms_of(path, steps):
    """A dictionary file of so many T1, and as many T2."""
    grid = t1t2_grid("drone", np.geomspace(200, 4000, steps), np.geomspace(20, 1500, steps))
    build_t1t2_dictionary(path, load_sequence("epi-cohen-25"), grid)
    return path


def batches(file, seed=0, noise=0.02, batch=100, **processes):
    data = AtomSet(file)
    normalisation = FrameMagnitude.of(data.basis, data.sequence)
    maps = data.tissue_model.parameters
    return AtomBatches(data, normalisation, maps=maps, batch=batch, noise=noise, seed=seed, **processes)


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_tenth_of_the_atoms_is_held_out_and_nothing_is_in_both_parts(file):
    whole = load_t1t2_dictionary(file).grid
    parts = [AtomSet(file, held_out) for held_out in (False, True)]
    pairs = [list(zip(p[0]["t1"][0].tolist(), p[0]["t2"][0].tolist(), strict=True)) for p in parts]
    assert len(pairs[1]) == len(whole) // 10
    every = zip(whole.t1_ms.astype(np.float32).tolist(), whole.t2_ms.astype(np.float32).tolist(), strict=True)
    assert sorted(pairs[0] + pairs[1]) == sorted(every)


def test_without_noise_a_network_gets_magnitudes_of_energy_1_and_the_logarithms_of_its_atom(file):
    dictionary = load_t1t2_dictionary(file)
    x, target, weight = next(batches(file, noise=0).batches(0))
    assert (x.shape, target.shape, weight.shape) == ((1, 25, 1, 100), (1, 2, 1, 100), (1, 2, 1, 100))
    unit = np.abs(dictionary.atoms) / np.linalg.norm(dictionary.atoms, axis=1, keepdims=True)
    scales = [(np.log(dictionary.grid.t1_ms / 100) / np.log(50)), np.log(dictionary.grid.t2_ms / 5) / np.log(500)]
    for column in range(0, 100, 17):
        which = int(np.argmin(np.abs(unit - x[0, :, 0, column].numpy()).max(axis=1)))
        np.testing.assert_allclose(x[0, :, 0, column], unit[which], atol=1e-6)
        np.testing.assert_allclose(target[0, :, 0, column], [scale[which] for scale in scales], atol=1e-6)
    assert torch.all(weight == 1)


def test_noise_has_the_stated_spread_and_every_atom_a_phase_of_its_own():
    frames = torch.full((25, 4000), 3.0, dtype=torch.complex64)
    noisy = add_noise(frames, 0.05, np.random.default_rng(0))
    phase = noisy.mean(0).angle()
    assert float(torch.polar(torch.ones_like(phase), phase).mean().abs()) < 0.05  # evenly spread over the circle
    apart = noisy * torch.polar(torch.ones_like(phase), -phase) - 3
    # 25 frames share one phase, which is estimated from them and takes 1 / 25 of the imaginary power
    assert float(apart.real.std()) == pytest.approx(0.15, rel=0.01)
    assert float(apart.imag.std()) == pytest.approx(0.15 * (24 / 25) ** 0.5, rel=0.01)


def test_batches_depend_on_seed_epoch_and_number_alone(file):
    whole = list(batches(file).batches(1))
    assert len(whole) == len(batches(file)) == AtomSet(file).frames.shape[1] // 100
    assert all(equal(a, b) for a, b in zip(batches(file).batches(1, 3), whole[3:], strict=True))
    assert not equal(whole[0], next(batches(file).batches(2)))
    assert not equal(whole[0], next(batches(file, seed=1).batches(1)))


def test_processes_share_a_batch(file):
    whole = next(batches(file).batches(0))
    parts = [next(batches(file, rank=rank, processes=4).batches(0)) for rank in range(4)]
    for all_atoms, *pieces in zip(whole, *parts, strict=True):  # sums of another number of columns round differently
        torch.testing.assert_close(all_atoms, torch.cat(pieces, dim=3), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="100 atoms of a batch cannot be shared evenly by 3"):
        batches(file, processes=3)


def test_a_trained_network_finds_the_held_out_atoms_and_leaves_as_an_archive(file, tmp_path):
    settings = TrainingSettings("drone", epochs=60, batch=100, learning_rate=3e-3, noise=0.01, precision="float32")
    best = train(tmp_path / "run", file, settings)
    constant = 12**-0.5  # the error of the mean of an even spread, over its range
    assert best.nrmse["t1"] < constant / 8
    assert best.nrmse["t2"] < constant / 3  # in 60 epochs of 1,400 atoms, not 1,000 of 71,910
    contract, difference = export(tmp_path / "run", file, tmp_path / "drone.pt")
    assert difference < 1e-4
    archive = load_archive(tmp_path / "drone.pt")
    assert (archive.contract.pixel_mm, archive.contract.efficiency) == (None, None)
    assert (archive.contract.channels, archive.contract.tissue_model) == (25, "relaxation")
    assert (archive.contract.border, archive.contract.tile) == (0, 64)
    assert contract.training["learnt"] == []
    held_out = AtomSet(file, held_out=True, noise=0.01)[0]
    message = Fingerprints(held_out["fingerprints"].numpy(), contract.basis, held_out["foreground"].numpy(), 0, NOWHERE)
    scan = ScanContext(ScanHeader("", (1, 1, 1), (1.0, 1.0, 1.0), (1, 1, 1), (1.0, 1.0, 1.0)), contract.sequence)
    (given,) = NetworkInference(scan, TiledNetwork(archive, "cpu", "float32")).feed(message)
    for name in ("t1", "t2"):
        truth = np.log(held_out[name].numpy())
        error = np.sqrt(np.mean((np.log(given.maps[name]) - truth) ** 2))
        assert error == pytest.approx(best.nrmse[name] * np.ptp(truth), rel=1e-3)
    card = model_card(archive.contract)
    lines = card.split("```sh\n")[1].split("```")[0].splitlines()
    assert lines[0] == "spokestream dictionary DATA --sequence epi-cohen-25 --grid drone"
    for command, *arguments in (shlex.split(line)[1:] for line in lines):
        parser = argparse.ArgumentParser()
        COMMANDS[command].options(parser)
        parser.parse_args(arguments)
    assert json.dumps(best.nrmse["t1"])[:6] in card


@pytest.mark.parametrize("network", ["cohen2018", "oksuz2019", "song2019"])
def test_other_networks_of_single_fingerprints_train_on_atoms(network, tmp_path):
    file = atoms_of(tmp_path / "few.h5", 12)
    settings = TrainingSettings(network, epochs=1, batch=40, precision="float32")
    assert set(train(tmp_path / "run", file, settings).nrmse) == {"t1", "t2"}


def test_an_interrupted_run_continues_bit_for_bit(file, tmp_path):
    def run(folder, stop_after=None):
        seen = 0

        def report(_):
            nonlocal seen
            seen += 1
            if seen == stop_after:
                raise KeyboardInterrupt

        return train(folder, file, TrainingSettings("drone", epochs=3, batch=200, precision="float32"), report)

    whole = run(tmp_path / "whole")
    batches_an_epoch = AtomSet(file).frames.shape[1] // 200
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop_after=batches_an_epoch + 3)
    continued = run(tmp_path / "parts")
    assert all(torch.equal(continued.weights[name], weight) for name, weight in whole.weights.items())


def test_what_cannot_be_trained_on_atoms_is_refused(file, tmp_path):
    with pytest.raises(InputError, match="ours sees neighbouring pixels, which the atoms of a dictionary do not have"):
        train(tmp_path / "run", file, TrainingSettings("ours"))
    with pytest.raises(InputError, match="A batch takes 4000 atoms; the training part has"):
        train(tmp_path / "run", file, TrainingSettings("drone"))
    with pytest.raises(InputError, match="has no subjects; leave out --subjects and --draw"):
        train(tmp_path / "run", file, TrainingSettings("drone", subjects=3))
    with pytest.raises(FileError, match="no T1/T2 dictionary file"):
        train(tmp_path / "run", Path(__file__), TrainingSettings("drone"))
