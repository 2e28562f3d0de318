"""Fields in given ranges: the map of a phantom is scaled and shifted, so that its shape stays."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.phantom import Phantom

__all__ = ["B1_RANGE", "OFF_RESONANCE_HZ", "any_fields", "low_b1", "off_resonance"]

B1_RANGE = (0.35, 0.5)
"""B1 over nominal. The phantoms of limbs have .5 to 1; in the maps of one patient's thigh, 99.5 % of the voxels have
more than .35."""
OFF_RESONANCE_HZ = (60.0, 120.0)
"""Off-resonance in Hz. In the maps of one patient's thigh, 99.5 % of the voxels have less than
120 Hz."""
ANY_B1, ANY_OFF_RESONANCE_HZ = (0.35, 1.0), (-120.0, 120.0)
"""Limits of the fields of limbs."""
LEAST_SPAN = 0.1
"""Least difference of a field within a slice, over these limits."""


def low_b1(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """The slice with the B1 of its tissue in `B1_RANGE`."""
    return replace(phantom, b1=_between(phantom.b1, phantom.pd > 0, *B1_RANGE))


def off_resonance(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """The slice with the off-resonance of its tissue in `OFF_RESONANCE_HZ`."""
    return replace(phantom, deltaf=_between(phantom.deltaf, phantom.pd > 0, *OFF_RESONANCE_HZ))


def any_fields(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """The slice with B1 and off-resonance of its tissue between random limits, so that no value is the usual one."""
    b1, deltaf = (_any_part(limits, rng) for limits in (ANY_B1, ANY_OFF_RESONANCE_HZ))
    tissue = phantom.pd > 0
    return replace(phantom, b1=_between(phantom.b1, tissue, *b1), deltaf=_between(phantom.deltaf, tissue, *deltaf))


def _any_part(limits: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    """A random part of a range."""
    low, high = limits
    span = (high - low) * rng.uniform(LEAST_SPAN, 1)
    start = rng.uniform(low, high - span)
    return start, start + span


def _between(values: NDArray[np.float32], tissue: NDArray[np.bool_], low: float, high: float) -> NDArray[np.float32]:
    """The map whose lowest value in tissue becomes `low` and whose highest `high`; the background is clipped."""
    if not tissue.any():
        return values
    least, span = values[tissue].min(), np.ptp(values[tissue])
    fraction = (values - least) / span if span else np.full_like(values, 0.5)
    return np.asarray(low + (high - low) * np.clip(fraction, 0, 1), np.float32)
