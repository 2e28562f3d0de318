"""Several processes that train one network: they find the gradient that one of them alone finds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import shared_gradients
import torch
from shared_gradients import PATCH

from spokestream.errors import InputError
from spokestream.models.training.checkpoint import read_best, read_progress
from spokestream.models.training.loop import Training, train
from spokestream.models.training.processes import Processes
from spokestream.models.training.recipes import RECIPES
from spokestream.models.training.tensorboard_log import Board
from spokestream.models.training.training_settings import TrainingSettings

ROOT = Path(__file__).parents[3]


def two_processes(*command):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo",
        "CUDA_VISIBLE_DEVICES": "",  # there may be one GPU, which one of them would take
    }  # fmt: skip
    run = subprocess.run([*launch, *command], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


GRADIENTS = ["ours-0", "song2019-0", "fang2019-0", "fang2019-1"]
"""Networks, and which of their training steps: 0 is the last one, 1 the first of two."""


@pytest.fixture(scope="module")
def gradients(training_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradients")
    two_processes(shared_gradients.__file__, training_set, folder, *GRADIENTS)
    return folder


@pytest.mark.parametrize("of", GRADIENTS)
def test_two_processes_find_the_gradient_that_one_finds(of, gradients):
    found = torch.load(gradients / f"{of}.pt")
    # A number at the end of a chain of n additions is wrong by at most n u of the sum of the terms' magnitudes (Higham,
    # Accuracy and Stability of Numerical Algorithms, 4.2), u = 2^-53 in double precision. The chain from the images to
    # a gradient runs once forwards through the inner products of all layers, once backwards, and over the voxels of a
    # patch. Terms are counted here by patch, where cancellation between patches shows; that within a patch, which
    # magnifies the error, has the room between n u and the root of n times u that roundings make together.
    layers = [gradient for gradient in found["alone"].values() if gradient.ndim > 1]
    chain = sum(layer[0].numel() + layer[:, 0].numel() for layer in layers) + PATCH**2
    assert found["together"].keys() == found["alone"].keys()
    for name, alone in found["alone"].items():
        magnitude = sum(patch[name].norm() for patch in found["patches"])
        assert (found["together"][name] - alone).norm() <= chain * 2**-53 * magnitude
    # the mean of what every patch finds with the sum of its own weights is another gradient
    mean = {name: sum(patch[name] for patch in found["patches"]) / len(found["patches"]) for name in found["alone"]}
    assert norm(mean[name] - alone for name, alone in found["alone"].items()) > 0.01 * norm(found["alone"].values())


def norm(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors]).norm()


class UnsharedHalf(Processes):
    """The first of two processes, which does not hear of the other."""

    def __init__(self):
        self.rank, self.size, self.device = 0, 2, torch.device("cpu")

    def distribute(self, network):
        return network

    def total(self, part):
        return part

    def wait(self):
        pass


@pytest.mark.parametrize("network", ["ours", "fang2019"])  # the second one learns in two steps, of shared layers
def test_torchrun_trains_one_network_in_two_processes(network, training_set, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    # the absolute differences of its loss have kinks, past which longer steps carry what differs by rounding
    steps = {"first_epochs": 1, "epochs": 2, "learning_rate": 1e-6} if network == "fang2019" else {"epochs": 1}
    size = {"subjects": 1, "patch": 8, "per_slice": 4, "batch": 4}
    short = TrainingSettings(network, validation=1, precision="float32", **size, **steps)
    given = {f"--{name.replace('_', '-')}": str(value) for name, value in vars(short).items() if value is not None}
    options = [word for option in given.items() for word in option]
    said = two_processes("-m", "spokestream.pipelines", "train", tmp_path / "two", training_set, *options)
    assert said.count("best after epoch") == 1
    assert read_best(tmp_path / "two").arithmetic["processes"] == 2
    train(tmp_path / "one", training_set, short)
    Training(tmp_path / "half", training_set, short, UnsharedHalf()).run(Board(None))
    (one, loss), (two, shared_loss), (half, half_loss) = (moments(tmp_path / name) for name in ("one", "two", "half"))
    # single precision leaves 5e-4 of the gradient on some processors; half of the batches gives another one
    assert (two - one).norm() < 0.1 * (half - one).norm()
    assert abs(shared_loss - loss) < 0.1 * abs(half_loss - loss)


def moments(folder):
    """Means of the gradients over the steps of a run, in one row, and of the loss."""
    last = read_progress(folder)
    return torch.cat([state["exp_avg"].flatten() for state in last.optimiser["state"].values()]), last.loss


def test_two_and_four_processes_can_share_the_batches_of_every_network():
    assert [name for name, recipe in RECIPES.items() if recipe.batch % 4] == []


def test_each_process_needs_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(InputError, match="there can be 1 here, not 2"):
        Processes()
