"""The training loop: patches in, weights out. An interrupted run continues bit for bit as if it had not stopped."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spokestream.errors import FileError, InputError
from spokestream.gadgets.network.device import repeat_exactly
from spokestream.models.datasets.atoms import AtomSet
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.training.checkpoint import Best, Progress, read_best, read_progress, write_best, write_progress
from spokestream.models.training.inputs.atom_batches import AtomBatches
from spokestream.models.training.inputs.augmentation import AUGMENTATION
from spokestream.models.training.inputs.patches import Patches
from spokestream.models.training.processes import Processes, autocast, in_bfloat16
from spokestream.models.training.recipes import Recipe, recipe, trained_parameters
from spokestream.models.training.tensorboard_log import Board
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.models.training.validation import overall, validate
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter

__all__ = ["BatchReport", "Training", "cosine_decay", "learning_rate", "split", "train"]

SMOOTH = 0.98
"""Smoothing of the loss that is shown, an average over about the last fifty batches."""
CHECKPOINT_SECONDS = 120.0
DRAW = 10
"""Identifies the random numbers by which subjects are drawn."""


@dataclass(frozen=True)
class BatchReport:
    """The state of a run after a batch, for display."""

    batch: int
    """Batches so far, over all epochs."""
    batches: int
    """Batches of the whole run."""
    epoch: int
    loss: float
    learning_rate: float
    nrmse: dict[str, float] | None = None
    """Map name -> normalised error over the validation subjects; only after the last batch of an epoch."""


def train(
    folder: Path, data: Path, settings: TrainingSettings, report: Callable[[BatchReport], object] | None = None
) -> Best | None:
    """Train a network on a training set, or continue from the checkpoint in the folder.

    Under `torchrun` every process takes its part of each batch, on its own GPU if there are any. From this call on,
    CUDA computes reproducibly in the whole process.

    Args:
        folder: folder of the run, with `checkpoint.pt`, `best.pt` and TensorBoard's files.
        data: folder of the training set, or a dictionary file, whose atoms are the training set.
        settings: of the run.
        report: called after every batch, in the first process.

    Returns:
        The weights with the smallest error on the validation subjects, in the first process; None in the others.

    Raises FileError for a folder with another run, and InputError for data that do not suffice and impossible settings.

    """
    repeat_exactly()
    with Processes() as processes:
        training = Training(folder, data, settings, processes)
        with Board(folder if processes.first else None) as board:
            training.run(board, report if processes.first else None)
    return read_best(folder) if processes.first else None


def split(data: Path, settings: TrainingSettings) -> tuple[TrainingSet, TrainingSet] | tuple[AtomSet, AtomSet]:
    """The subjects for training, and the last subjects of the set for validation; or the two parts of a dictionary.

    Raises InputError for too few subjects, a draw of an unknown number of them, a choice of subjects where there are
    none, and matching as the target of atoms; FileError for subjects that were not matched.
    """
    if data.is_file():
        if settings.subjects or settings.draw is not None:
            raise InputError(f"{data} is a dictionary, which has no subjects; leave out --subjects and --draw.")
        if settings.targets != "truth":
            raise InputError(f"{data} is a dictionary, whose atoms are the truth; leave out --targets.")
        return AtomSet(data), AtomSet(data, held_out=True, noise=settings.noise)
    seeds = TrainingSet(data).seeds
    training, held_out = seeds[: -settings.validation], seeds[-settings.validation :]
    wanted = settings.subjects or len(training)
    if not training or wanted > len(training):
        raise InputError(
            f"{data} has {len(seeds)} subjects; "
            f"{settings.validation} for validation leave {len(training)} for training."
        )
    if settings.draw is not None:
        if settings.subjects is None:
            raise InputError("A draw takes a number of subjects, as in --subjects 40 --draw 3.")
        training = np.random.default_rng((settings.draw, DRAW)).permutation(training).tolist()
    matched = settings.targets == "matching"
    return TrainingSet(data, training[:wanted], matched), TrainingSet(data, held_out, matched)


def cosine_decay(highest: float, progress: float) -> float:
    """A learning rate that rises during the first hundredth of a run, and then falls to 0 as a cosine."""
    return highest * min(1.0, progress / 0.01 + 1e-3) * (1 + math.cos(math.pi * progress)) / 2


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The learning rate when the fraction `progress` (0 to 1) of the run is done."""
    if recipe.decay == "cosine":
        return cosine_decay(recipe.learning_rate, progress)
    if recipe.decay == "tenfold":
        return recipe.learning_rate * 0.1 ** min(4, int(5 * progress))
    return recipe.learning_rate


class Training:
    """A training run: its network, its data, and its progress."""

    def __init__(self, folder: Path, data: Path, settings: TrainingSettings, processes: Processes) -> None:
        self.folder, self.settings, self.processes = folder, settings, processes
        training: TrainingSet | AtomSet
        self.held_out: TrainingSet | AtomSet
        training, self.held_out = split(data, settings)
        model = training.tissue_model
        self.recipe, parameters = recipe(settings, model, training.images), trained_parameters(settings, model)
        torch.manual_seed(settings.seed)
        self.normalisation, self.network = self.recipe.make(training.basis, training.sequence, len(parameters))
        if self.recipe.patch % self.network.step:
            raise InputError(
                f"A patch of {settings.network} is a multiple of {self.network.step} pixels, not {self.recipe.patch}."
            )
        steps = (
            [self.network] if self.recipe.first_step is None else [self.network, self.recipe.first_step(self.network)]
        )
        self.steps = nn.ModuleList(steps).to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.distributed = [processes.distribute(step) for step in steps]
        self.patches = self._batches_of(training, parameters)
        self.optimiser = torch.optim.Adam(self.steps.parameters(), lr=self.recipe.learning_rate)
        self.about: dict[str, Any] = {
            "settings": asdict(settings),
            "recipe": self.recipe.words | asdict(AUGMENTATION[training.images]),
            "data": training.identity | {"learnt": training.seeds, "validated": self.held_out.seeds},
        }
        self.epoch = self.batch = 0
        self.best, self.loss, self.seconds = math.inf, math.nan, 0.0
        self._resume()

    def run(self, board: Board, report: Callable[[BatchReport], object] | None = None) -> None:
        """Train to the end."""
        begin = perf_counter() - self.seconds
        saved = perf_counter()
        total = self.recipe.epochs * len(self.patches)
        while self.epoch < self.recipe.epochs:
            for x, target, weight in self.patches.batches(self.epoch, self.batch):
                rate = learning_rate(self.recipe, self.done / total)
                loss = self._step(x, target, weight, rate)
                self.loss = loss if math.isnan(self.loss) else SMOOTH * self.loss + (1 - SMOOTH) * loss
                self.batch += 1
                self.seconds = perf_counter() - begin
                board.show({"loss": loss, "learning rate": rate}, self.done)
                if report:
                    report(BatchReport(self.done, total, self.epoch, self.loss, rate))
                if perf_counter() - saved > CHECKPOINT_SECONDS:
                    self._keep()
                    saved = perf_counter()
            nrmse = None
            if self.epoch >= self.recipe.first_epochs:  # in the first step, most of the network is not yet trained
                nrmse = validate(self.network, self.normalisation, self.held_out, self.settings)
                board.show({f"validation NRMSE/{name}": value for name, value in nrmse.items()}, self.done)
            self.epoch, self.batch, self.seconds = self.epoch + 1, 0, perf_counter() - begin
            if nrmse:
                if report:
                    rate = learning_rate(self.recipe, self.done / total)
                    report(BatchReport(self.done, total, self.epoch - 1, self.loss, rate, nrmse))
                self._compare(nrmse)
            self._keep()
        self.processes.wait()

    def _batches_of(self, data: TrainingSet | AtomSet, maps: tuple[Parameter, ...]) -> Patches | AtomBatches:
        recipe, seed, rank, size = self.recipe, self.settings.seed, self.processes.rank, self.processes.size
        if isinstance(data, TrainingSet):
            return Patches(
                data, self.normalisation, maps=maps, size=recipe.patch, border=self.network.border,
                per_slice=recipe.per_slice, batch=recipe.batch, seed=seed, augmentation=AUGMENTATION[data.images],
                conditioned=recipe.conditioned, by_value=recipe.by_value, rank=rank, processes=size,
                threads=self.processes.feeders,
            )  # fmt: skip
        if recipe.patch > 1:
            raise InputError(
                f"{self.settings.network} sees neighbouring pixels, which the atoms of a dictionary do not have; train "
                "it on a folder of 'spokestream dataset'."
            )
        return AtomBatches(
            data, self.normalisation, maps=maps, batch=recipe.batch, noise=self.settings.noise, seed=seed, rank=rank,
            processes=size,
        )  # fmt: skip

    @property
    def done(self) -> int:
        """Batches so far, over all epochs."""
        return self.epoch * len(self.patches) + self.batch

    def _step(self, x: Tensor, target: Tensor, weight: Tensor, rate: float) -> float:
        device = self.processes.device
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        x, target, weight = x.to(device, memory_format=torch.channels_last), target.to(device), weight.to(device)
        network = self.distributed[-1 if self.epoch < self.recipe.first_epochs else 0].train()
        with autocast(self.settings.precision, device):
            prediction = network(x)
        loss = self.recipe.loss(prediction.float(), target, weight, self.processes.total)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.steps.parameters(), self.recipe.largest_gradient)
        self.optimiser.step()
        if not math.isfinite(value := float(loss.detach())):
            raise InputError(f"The loss is no longer a number after {self.batch} batches of epoch {self.epoch + 1}.")
        return value

    def _compare(self, nrmse: dict[str, float]) -> None:
        if (error := overall(nrmse)) < self.best:
            self.best = error
            if self.processes.first:
                arithmetic = {
                    "precision": "bfloat16"
                    if in_bfloat16(self.settings.precision, self.processes.device)
                    else "float32",
                    "device": self.processes.device.type,
                    "processes": self.processes.size,
                }
                weights = _on_cpu(self.network)
                write_best(self.folder, Best(self.about, weights, self.epoch, nrmse, self.seconds, arithmetic))

    def _keep(self) -> None:
        if self.processes.first:
            write_progress(
                self.folder,
                Progress(
                    self.about, _on_cpu(self.steps), self.optimiser.state_dict(), _random_states(self.processes.device),
                    self.epoch, self.batch, self.best, self.loss, self.seconds,
                ),
            )  # fmt: skip

    def _resume(self) -> None:
        last = read_progress(self.folder)
        if last is None:
            return
        if last.about != self.about or _shapes(last.weights) != _shapes(self.steps.state_dict()):
            raise FileError(f"{self.folder} holds another run; take another folder, or its settings and data.")
        self.steps.load_state_dict(last.weights)
        self.optimiser.load_state_dict(last.optimiser)
        _set_random_states(last.random_states, self.processes.device)
        self.epoch, self.batch, self.seconds = last.epoch, last.batch, last.seconds
        self.best, self.loss = last.best_nrmse, last.loss


def _shapes(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


def _random_states(device: torch.device) -> list[Tensor]:
    on_gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_gpu]


def _set_random_states(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


def _on_cpu(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
