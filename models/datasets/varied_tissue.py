"""Tissue that differs from the phantom's, so that a network cannot learn the relaxation times of few tissues by heart.

The tissues of a phantom have nearly the same T1 and T2 in every subject. A network that is trained on them learns to
name the tissue and to give its usual values, also in tissue that has changed. Every tissue of every subject therefore
gets other relaxation times, which also vary within the tissue.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.phantoms.fields import LEVEL_MM, SmoothField

__all__ = ["varied_relaxation"]

T1_MS, T2_MS = (310.0, 4650.0), (1.1, 1180.0)
"""Limits of the changed values, just inside the range `PEOPLE` for which signals are expanded."""
TEXTURE_MM = (3.0, 8.0, 25.0)
"""Correlation lengths of the variation within a tissue."""
TEXTURE = 0.04
"""Standard deviation of the natural logarithm of the variation at each correlation length."""


def varied_relaxation(
    phantoms: list[Phantom], spacing_mm: float, largest: float, rng: np.random.Generator
) -> list[Phantom]:
    """The slices of a subject in which T1 and T2 of the water of each tissue are multiplied by random factors.

    The factors of a tissue are independent of each other and log-uniform between 1 / `largest` and `largest`. A smooth
    random texture is added. T2 stays shorter than T1.

    Args:
        phantoms: the slices.
        spacing_mm: distance from one slice to the next.
        largest: largest factor; 1 leaves the phantoms as they are.
        rng: random numbers of the subject.

    """
    if largest == 1:
        return phantoms
    names = phantoms[0].label_names
    factors = np.exp(rng.uniform(-np.log(largest), np.log(largest), (2, len(names))))
    fields = [[SmoothField(rng, length_mm) for length_mm in TEXTURE_MM] for _ in factors]

    def changed(phantom: Phantom, place_mm: float) -> Phantom:
        y, x = (
            ((np.arange(n) - n // 2) * phantom.fov_mm / phantom.pd.shape[1]).astype(np.float32)
            for n in phantom.pd.shape
        )
        values = []
        for old, of_tissue, textures, limits in zip(
            (phantom.t1h2o, phantom.t2h2o), factors, fields, (T1_MS, T2_MS), strict=True
        ):
            texture = TEXTURE * sum(field(y, x, place_mm / LEVEL_MM) for field in textures)
            new = np.clip(old * of_tissue[phantom.label] * np.exp(texture), *limits)
            values.append(np.where(old > 0, new, old).astype(np.float32))
        t1_ms, t2_ms = values
        return replace(phantom, t1h2o=t1_ms, t2h2o=_shorter(t2_ms, t1_ms))

    return [changed(phantom, index * spacing_mm) for index, phantom in enumerate(phantoms)]


def _shorter(t2_ms: NDArray[np.float32], t1_ms: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.minimum(t2_ms, np.float32(0.95) * t1_ms))
