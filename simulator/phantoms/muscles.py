"""Muscle in health and disease: every muscle of a person has its own stage of fatty replacement and oedema."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spokestream.simulator.phantoms.shapes import Ellipse
from spokestream.simulator.phantoms.subject import Subject
from spokestream.simulator.phantoms.tissues import Tissue

__all__ = ["SIDES", "Muscle", "muscle_names", "muscle_tissues"]

SIDES: tuple[Literal["right"], Literal["left"]] = ("right", "left")
MUSCLE_PD = 0.80


@dataclass(frozen=True)
class Muscle:
    """The shape of a muscle, and how readily each disease replaces it by fat, from 0 (spared) to 1."""

    shapes: tuple[Ellipse, ...]
    dystrophy: float
    myositis: float
    neuropathy: float

    def involvement(self, pattern: str) -> float:
        """How readily this pattern of disease replaces the muscle, 0..1; 0 in health."""
        return {"dystrophy": self.dystrophy, "myositis": self.myositis, "neuropathy": self.neuropathy}.get(pattern, 0)


def muscle_names(muscles: dict[str, Muscle]) -> tuple[str, ...]:
    """Names of the labels: all muscles of the right side, then of the left."""
    return tuple(f"{side} {muscle}" for side in SIDES for muscle in muscles)


def muscle_tissues(muscles: dict[str, Muscle], subject: Subject, level: float) -> tuple[Tissue, ...]:
    """The tissue of every muscle, in the order of `muscle_names`; along the body it has a linear trend."""
    tissues = []
    for side in SIDES:
        for name, muscle in muscles.items():
            both, one = subject.rng(name), subject.rng(side, name)
            tissues.append(_muscle(muscle.involvement(subject.pattern), subject, level, both, one))
    return tuple(tissues)


def _muscle(
    involvement: float, subject: Subject, level: float, both: np.random.Generator, one: np.random.Generator
) -> Tissue:
    """The tissue of one muscle. Both sides are similar. Oedema comes first, then fat, which varies in the muscle."""
    stage = subject.severity * (0.35 + 0.9 * both.random() + 0.4 * one.random())
    stage *= 0.15 if both.random() < 0.08 else 1.0  # some muscles are spared for unknown reasons
    trend, oedema = one.normal(), both.random() * np.sqrt(one.random())
    # healthy muscle: fattier with age and in women
    healthy = 0.018 + 0.0006 * (subject.age_years - 20) + 0.006 * (subject.sex == "female") + 0.008 * one.random()
    grade = float(np.clip(healthy + 1.5 * involvement * stage + 0.08 * trend * level * subject.severity, 0.015, 0.85))
    swollen = subject.activity * oedema * (1 - grade)
    t1 = 1330 + 20 * (subject.sex == "female") - 0.8 * (subject.age_years - 40) + 60 * one.uniform(-1, 1)
    return Tissue(
        pd=MUSCLE_PD,
        ff=grade,
        t1h2o=t1 + 420 * swollen,
        t2h2o=38 + 2 * one.uniform(-1, 1) + 24 * swollen,
        t1fat=325 + 45 * one.random(),
        ff_spread=0.01 + 0.55 * grade * (1 - grade),
        t1h2o_spread=25 + 80 * swollen,
        t2h2o_spread=1 + 4 * swollen,
    )
