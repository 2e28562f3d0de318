"""Training of a denoiser on the evidence of simulated slices, and the archive of its weights."""

import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from spokestream import __version__
from spokestream.gadgets.model_fit.evidence import n_features
from spokestream.gadgets.network.denoiser import Denoiser, DenoiserCard, load_denoiser, on_grid, save_denoiser
from spokestream.models.denoising.denoiser_settings import DenoiserSettings
from spokestream.models.denoising.evidence_set import SCALES, EvidenceSlice, evidence_path, read_slice
from spokestream.models.networks.map_network import MapNetwork
from spokestream.models.training.inputs.augmentation import mirrored
from spokestream.models.training.loop import cosine_decay
from spokestream.models.training.losses import gaussian_likelihood
from spokestream.models.training.processes import autocast, in_bfloat16
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT
from spokestream.whole_files import whole_file

__all__ = ["errors", "train_denoiser"]

PATCH, PER_SLICE, SLICES = 64, 4, 4
"""Side of a patch in pixels, patches of a slice in an epoch, and slices of a batch."""
LEARNING_RATE, LARGEST_GRADIENT = 2e-3, 1.0
"""Largest learning rate, see `cosine_decay`, and the norm to which gradients are clipped."""
EXACT = 2
"""Decimals of metrics in percent."""

CPU, PRECISION = torch.device("cpu"), "auto"
"""Where it trains, and in which arithmetic: see `autocast`."""

Images = dict[str, Tensor]
"""The features with the mask, the unknowns, their targets and weights of a slice, (channels, y, x) each."""


def train_denoiser(
    folder: Path,
    archive: Path,
    settings: DenoiserSettings,
    progress: Callable[[int, int, str], object] = lambda done, all_of, words: None,
) -> DenoiserCard:
    """Train on the files of `make_evidence`, and write the archive.

    The first subjects are held out: their errors are in the card, and no choice depends on them.

    Returns the card. Raises FileError if the archive cannot be written.
    """
    begin, seeds = time.monotonic(), list(settings.data.seeds)
    learnt = [_on_grid(one) for one in slices(folder, seeds[settings.validation :], settings.images, settings.kinds)]
    torch.manual_seed(settings.seed)
    n = len(WATER_FAT.names)
    network = MapNetwork(n_features(n), n, settings.width, settings.blocks)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    rng = np.random.default_rng(settings.seed)
    steps = settings.epochs * math.ceil(len(learnt) / SLICES)
    number = 0
    for epoch in range(settings.epochs):
        for batch in _batches(learnt, network.border, rng):
            for group in optimizer.param_groups:
                group["lr"] = cosine_decay(LEARNING_RATE, number / steps)
            with autocast(PRECISION, CPU):
                features = batch["features"].to(memory_format=torch.channels_last)
                prediction = network(features, batch["unknowns"]).float()
            loss = gaussian_likelihood(prediction, batch["target"], batch["weight"])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
            optimizer.step()
            number += 1
        progress(epoch + 1, settings.epochs, f"loss {float(loss.detach()):.4f}")
    scripted = torch.jit.script(network.eval().to(memory_format=torch.contiguous_format))
    arithmetic = "bfloat16" if in_bfloat16(PRECISION, CPU) else "float32"
    training = _training(settings, round((time.monotonic() - begin) / 60, 1), arithmetic)
    with whole_file(archive) as draft:
        card = DenoiserCard(WATER_FAT.name, settings.images, network.border, *settings.pixel_mm, training)
        save_denoiser(draft, scripted, card)
        denoiser, held_out = load_denoiser(draft), seeds[: settings.validation]
        metrics = {
            kind: errors(denoiser, slices(folder, held_out, settings.images, (kind,))) for kind in settings.kinds
        }
        card = replace(card, metrics=metrics)
        save_denoiser(draft, scripted, card)
    return card


def slices(folder: Path, seeds: list[int], images: str, kinds: tuple[str, ...]) -> Iterator[EvidenceSlice]:
    """The slices of some subjects, by some kinds of first maps, in these images."""
    return (read_slice(evidence_path(folder, seed), images, kind) for seed in seeds for kind in kinds)


def errors(denoiser: Denoiser, held_out: Iterator[EvidenceSlice]) -> dict[str, Any]:
    """Root mean square errors of soft tissue before and after, and how many are within one and two deviations.

    Beyond the range of a map, they are those to its limit.
    """
    squares: dict[str, list[Tensor]] = {name: [] for name in WATER_FAT.names}
    ratios = []
    for one in held_out:
        moved, std = denoiser(one.features, one.x, one.mask, 1)
        voxels = torch.from_numpy(one.mask)
        counted = (one.weight[:, voxels] > 0) & torch.from_numpy(one.soft)[voxels]
        truth, before = SCALES.parameters(one.target[:, voxels].T), SCALES.parameters(one.x)
        after = SCALES.parameters(moved)
        stds = SCALES.std(std, after)
        for i, name in enumerate(WATER_FAT.names):
            differences = torch.stack([before[i] - truth[i], after[i] - truth[i]])[:, counted[i]]
            squares[name].append(differences.square())
            ratios.append(differences[1].abs() / stds[i][counted[i]])
    rms = {name: torch.cat(found, 1).mean(1).sqrt().tolist() for name, found in squares.items()}
    ratio = torch.cat(ratios)
    within = [round(100 * float((ratio < k).float().mean()), EXACT) for k in (1, 2)]
    return {**{name: [float(f"{value:.4g}") for value in both] for name, both in rms.items()}, "within": within}


def _on_grid(one: EvidenceSlice) -> Images:
    images, unknowns = on_grid(one.features, one.x, one.mask)
    return {"features": images, "unknowns": unknowns, "target": one.target, "weight": one.weight}


def _batches(learnt: list[Images], border: int, rng: np.random.Generator) -> Iterator[Images]:
    order = rng.permutation(len(learnt))
    for start in range(0, len(order), SLICES):
        patches = [patch for i in order[start : start + SLICES] for patch in _patches(learnt[i], border, rng)]
        yield {name: torch.stack([patch[name] for patch in patches]) for name in patches[0]}


def _patches(whole: Images, border: int, rng: np.random.Generator) -> Iterator[Images]:
    """Patches around voxels that count, of a slice that was mirrored at random; beyond the slice, there are zeros."""
    images = mirrored(whole, rng)
    margins = {name: border if name == "features" else 0 for name in images}
    padded = {name: pad(image, (PATCH // 2 + margins[name],) * 4) for name, image in images.items()}
    counted = images["weight"].sum(0).nonzero()
    for row, column in counted[rng.integers(len(counted), size=PER_SLICE)].tolist():
        yield {
            name: image[:, row : row + PATCH + 2 * margins[name], column : column + PATCH + 2 * margins[name]]
            for name, image in padded.items()
        }


def _training(settings: DenoiserSettings, minutes: float, arithmetic: str) -> dict[str, Any]:
    changed = [
        f"--{f.name.replace('_', '-')} {getattr(settings, f.name)}"
        for f in fields(settings)
        if getattr(settings, f.name) != f.default
    ]
    return {
        "command": " ".join(["spokestream denoiser EVIDENCE ARCHIVE", *changed]),
        "settings": asdict(settings),
        "data": settings.data.recipe,
        "minutes": minutes,
        "arithmetic": arithmetic,
        "versions": {"spokestream": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
