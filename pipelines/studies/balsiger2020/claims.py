"""The statements of the paper, and whether they hold in the numbers of the study."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from spokestream.pipelines.studies.balsiger2020.sizes import PROPOSED, Sizes, designs
from spokestream.pipelines.studies.balsiger2020.tables import error, errors_of_draws, most_important, named, unseen_r2
from spokestream.pipelines.studies.study import Claim, Results

__all__ = ["claims"]

SPATIAL = (PROPOSED, "fang2019")
"""The networks that see the neighbours of a voxel."""
EARLY, LATE = 18, 125
"""The first tenth of the frames, after the inversion; and the first frame of the largest flip angle."""


def claims(sizes: Sizes, results: Results) -> list[Claim]:
    """The statements about networks, receptive field, frames, number of subjects, and unseen anatomies."""
    return [
        *_of_networks(sizes, results),
        *_of_receptive_fields(sizes, results),
        *_of_frames(results),
        _of_subjects(sizes, results),
        *_of_unseen_anatomies(sizes, results),
    ]


def _of_networks(sizes: Sizes, results: Results) -> Iterator[Claim]:
    errors = {n: results["test"][f"{n}-matching"]["matching"]["nrmse"] for n in sizes.networks}
    others = [n for n in sizes.networks if n != PROPOSED]
    single = [n for n in sizes.networks if n not in SPATIAL]
    yield _below(
        "The proposed network has the smallest NRMSE of all networks in every map.",
        errors[PROPOSED], [errors[n] for n in others], "NRMSE over that of the best other network",
    )  # fmt: skip
    for network in (n for n in others if n in SPATIAL):
        yield _below(
            f"{network} has a smaller NRMSE than the networks of single fingerprints in every map.",
            errors[network], [errors[n] for n in single], "NRMSE over that of the best of them",
        )  # fmt: skip


def _below(text: str, ours: Mapping[str, float], theirs: list[Mapping[str, float]], what: str) -> Claim:
    ratios = {name: ours[name] / min(of[name] for of in theirs) for name in ours}
    return Claim(text, all(ratio < 1 for ratio in ratios.values()), f"{what}: {named(ratios, '.2f')}")


def _of_receptive_fields(sizes: Sizes, results: Results) -> Iterator[Claim]:
    built = designs(sizes)
    for capacity in sizes.capacities:
        of = {field: error(results, name, "matching") for (field, n), name in built.items() if n == capacity}
        if len(of) > 1:
            text = f"The error becomes smaller with every larger receptive field at {capacity / 1e6:g} M parameters."
            found = ", ".join(f"{field}: {value:.3f}" for field, value in of.items())
            yield Claim(text, all(b < a for a, b in pairwise(of.values())), found)


def _of_frames(results: Results) -> Iterator[Claim]:
    frames = results["frames"]
    first, last = most_important(frames, "t1h2o")[0], most_important(frames, "t1fat")[0]
    yield Claim(
        f"The most important frame for water T1 is one of the first {EARLY} after the inversion.",
        first < EARLY, f"frame {first}",
    )  # fmt: skip
    yield Claim(
        f"The most important frame for fat T1 is frame {LATE} or later, where the flip angle is largest.",
        last >= LATE, f"frame {last}",
    )  # fmt: skip


def _of_subjects(sizes: Sizes, results: Results) -> Claim:
    means = {n: float(np.mean(values)) for n, values in errors_of_draws(sizes, results, "matching").items()}
    return Claim(
        "The error becomes smaller with more subjects to train on.",
        all(b < a for a, b in pairwise(means.values())), ", ".join(f"{n}: {value:.3f}" for n, value in means.items()),
    )  # fmt: skip


def _of_unseen_anatomies(sizes: Sizes, results: Results) -> Iterator[Claim]:
    unseen = {network: unseen_r2(sizes, results, network) for network in sizes.networks}
    test = results["test"][f"{PROPOSED}-matching"]["matching"]["r2"]
    both = [name for name in unseen[PROPOSED] if test.get(name) is not None]
    losses = {name: test[name] - unseen[PROPOSED][name] for name in both}
    yield Claim(
        "R² of the proposed network is lower in unseen anatomies than in the test, in every map.",
        all(loss > 0 for loss in losses.values()), f"loss of R²: {named(losses)}",
    )  # fmt: skip
    others = {name: [of[name] for n, of in unseen.items() if n != PROPOSED and name in of] for name in unseen[PROPOSED]}
    gains = {name: unseen[PROPOSED][name] - max(values) for name, values in others.items() if values}
    yield Claim(
        "The proposed network has the highest R² in unseen anatomies, in every map.",
        all(gain > 0 for gain in gains.values()), f"R² above the best other network: {named(gains, '+.3f')}",
    )  # fmt: skip
