"""Changes of a phantom to tissue and fields that the people of the phantoms do not have, by name."""

from collections.abc import Callable

import numpy as np

from spokestream.simulator.phantoms.changes.field_ranges import any_fields, low_b1, off_resonance
from spokestream.simulator.phantoms.changes.oedema import oedema
from spokestream.simulator.phantoms.changes.texture import texture
from spokestream.simulator.phantoms.changes.vessels import vessels
from spokestream.simulator.phantoms.phantom import Phantom

__all__ = ["CHANGES", "UNCHANGED", "changed"]

UNCHANGED = "none"

CHANGES: dict[str, Callable[[Phantom, np.random.Generator], Phantom]] = {
    UNCHANGED: lambda phantom, rng: phantom,
    "texture": texture,
    "oedema": oedema,
    "low-b1": low_b1,
    "off-resonance": off_resonance,
    "vessels": vessels,
    "any-fields": any_fields,
}
"""Name -> the change of one slice, which draws from the random numbers that it is given."""
CHANGE = 10
"""Identifies the random numbers of the changes; those of the phantom and of the scan have other identifiers."""


def changed(phantoms: list[Phantom], name: str, seed: int) -> list[Phantom]:
    """The slices of subject number `seed` after one of `CHANGES`; slices are changed independently of each other."""
    return [CHANGES[name](phantom, np.random.default_rng((seed, CHANGE, n))) for n, phantom in enumerate(phantoms)]
