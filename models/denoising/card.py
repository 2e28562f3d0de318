"""The card of a denoiser: what made it, and how accurate it is."""

import shlex

from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.gadgets.network.denoiser import DenoiserCard
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["denoiser_card"]

IMAGES = {ADJOINT: "images of the adjoint", CONSISTENT: "consistent images"}


def denoiser_card(card: DenoiserCard) -> str:
    """The card as Markdown. Every number is taken from the archive."""
    training, settings = card.training, card.training["settings"]
    data = " ".join(f"--{k.replace('_', '-')} {shlex.quote(_text(v))}" for k, v in training["data"].items())
    first, n, held_out = settings["first_seed"], settings["subjects"], settings["validation"]
    versions = ", ".join(f"{k} {v}" for k, v in training["versions"].items())
    heads = " | ".join(f"{kind} | denoised" for kind in card.metrics)
    rows = "\n".join(
        f"| {QUANTITIES[name].title} | {QUANTITIES[name].unit} | "
        + " | ".join(f"{value:g}" for found in card.metrics.values() for value in found[name])
        + " |"
        for name in card.model.names
    )
    within = "\n".join(
        f"{kind}: {found['within'][0]:g} % of the errors are within one standard deviation, {found['within'][1]:g} % "
        "within two."
        for kind, found in card.metrics.items()
    )
    subjects = f"{n - held_out} simulated subjects (numbers {first + held_out} to {first + n - 1})"
    return f"""# Denoiser of {card.model.title}

docs/networks.md. It sees maps, and what the signal says about them, with {card.border} pixels around each voxel,
and serves any sequence of its tissue model, with pixels of {card.smallest_mm:.2g} to {card.largest_mm:.2g} mm.

Made by

```sh
{training["command"]}
```

with seed {settings["seed"]}, {subjects}, one slice each, first maps by {" and ".join(card.metrics)},
{settings["epochs"]} epochs, {training["minutes"]:g} minutes in
{training["arithmetic"]}; {versions}. The subjects are those of

```sh
spokestream dataset DATA --subjects {n} --first-seed {first} {data}
```

Held-out subjects {first} to {first + held_out - 1}, by which nothing was chosen; root-mean-square errors of soft tissue
in {IMAGES[card.images]}, and beyond the range of a map to its limit:

| map | unit | {heads} |
|---|---|{"---|---|" * len(card.metrics)}
{rows}

{within}
"""


def _text(value: object) -> str:
    return ",".join(f"{v:g}" for v in value) if isinstance(value, list | tuple) else str(value)
