"""The model card of an archive: what the network is, how it was made, and how accurate it is."""

import shlex
from typing import Any

from spokestream.gadgets.imaging.image_kinds import ITERATIVE
from spokestream.gadgets.network.contract import Contract
from spokestream.models.datasets.atoms import HELD_OUT
from spokestream.models.training.training_settings import TARGETS

__all__ = ["model_card"]


def model_card(contract: Contract) -> str:
    """The card as Markdown. Every number is taken from the archive."""
    training, basis = contract.training, contract.basis.weights
    nrmse = contract.metrics["validation NRMSE"]
    arithmetic = _arithmetic(training)
    images = "iterative images" if contract.images == ITERATIVE else "images"
    versions = ", ".join(f"{k} {v}" for k, v in contract.versions.items())
    targets = TARGETS[training["settings"].get("targets", "truth")]  # networks that were trained earlier had the truth
    commands, trained_on, held_out = _of_atoms(contract) if "grid" in training["data"] else _of_subjects(training)
    rows = "\n".join(
        f"| {o.map} | {o.unit} | {o.low:g} to {o.high:g}{', logarithmic' if o.logarithmic else ''} | "
        f"{_figure(nrmse.get(o.map))} |"
        for o in contract.outputs
    )
    return f"""# {contract.name}

{contract.description}. Sequence {contract.sequence.name}; input {basis.shape[1]} {images} of {basis.shape[0]} frames,
{contract.normalisation}; tiles with {contract.border} pixels around them.

Made by

```sh
{commands}
{training["command"]}
spokestream export RUN DATA -o {contract.name}.pt --name {contract.name}
```

with seed {training["seed"]}, {trained_on}, {training["epochs"]} epochs, {training["hours"]:g} hours{arithmetic};
{versions}.

{held_out}, by which the best epoch was chosen; root-mean-square error
against {targets} over the range of each map, both on the scale of the output:

| map | unit | range | NRMSE |
|---|---|---|---|
{rows}
"""


def _of_subjects(training: dict[str, Any]) -> tuple[str, str, str]:
    """The commands that make a set of subjects, and what was trained on and held out, in words."""
    settings = " ".join(f"--{k.replace('_', '-')} {shlex.quote(_text(v))}" for k, v in training["data"].items())
    learnt, validated = training["learnt"], training["validated"]
    subjects = f"{training['subjects']} simulated subjects (numbers {min(learnt)} to {max(learnt)},"
    commands = "\n".join(
        f"spokestream dataset DATA --subjects {len(run)} --first-seed {run[0]} {settings}"
        for run in _runs(sorted([*learnt, *validated]))
    )
    return (
        commands,
        f"{subjects}\n{training['slices']} slices)",
        f"Held-out subjects {min(validated)} to {max(validated)}, middle slices",
    )


def _of_atoms(contract: Contract) -> tuple[str, str, str]:
    """The command that makes a dictionary, and what was trained on and held out, in words."""
    data = contract.training["data"]
    held_out = data["atoms"] // HELD_OUT
    return (
        f"spokestream dictionary DATA --sequence {contract.sequence.name} --grid {data['grid']}",
        f"{data['atoms'] - held_out:,} of {data['atoms']:,} atoms",
        f"The other {held_out:,} atoms",
    )


def _runs(seeds: list[int]) -> list[range]:
    """The seeds, split into ranges of consecutive numbers."""
    first = [seed for seed in seeds if seed - 1 not in seeds]
    last = [seed for seed in seeds if seed + 1 not in seeds]
    return [range(a, b + 1) for a, b in zip(first, last, strict=True)]


def _arithmetic(training: dict[str, Any]) -> str:
    used = training.get("arithmetic")
    return f" in {used['precision']} on {used['processes']} x {used['device']}" if used else ""


def _figure(nrmse: float | None) -> str:
    return "no subject shows it" if nrmse is None else f"{nrmse:.4f}"


def _text(value: object) -> str:
    return ",".join(f"{v:g}" for v in value) if isinstance(value, list | tuple) else str(value)
