"""The subjects: people drawn from a population, reproducibly."""

import zlib
from dataclasses import dataclass

import numpy as np

from spokestream.errors import InputError

__all__ = ["POPULATIONS", "Subject", "draw_subject"]

PATTERNS = ("dystrophy", "myositis", "neuropathy")
"""Diseases, which affect different muscles: hamstrings and calves, quadriceps, or those far from the spine."""


@dataclass(frozen=True)
class Population:
    """The distributions of age (years), height (cm), body mass index (kg/m^2) and disease."""

    about: str
    ages: tuple[float, float]
    bmi: tuple[float, float]
    """Mean and standard deviation."""
    height_cm: dict[str, float]
    """Sex -> mean."""
    severity: tuple[float, float] | None
    """Parameters of a beta distribution; None if nobody is ill."""


POPULATIONS = {
    "patients": Population(
        "neuromuscular patients of all stages", (16, 76), (24.0, 4.0), {"female": 161, "male": 172}, (2.2, 2.0)
    ),
    "volunteers": Population(
        "healthy, younger and leaner people", (20, 50), (22.3, 2.2), {"female": 167, "male": 180}, None
    ),
}


@dataclass(frozen=True)
class Subject:
    """One person."""

    population: str
    seed: int
    age_years: float
    sex: str
    """female or male."""
    height_cm: float
    bmi: float
    """Body mass index, kg/m^2."""
    pattern: str
    """The disease: dystrophy, myositis, neuropathy or none."""
    severity: float
    """Degree to which fat has replaced muscle, 0..1."""
    activity: float
    """Degree of oedema, 0..1."""

    @property
    def size(self) -> float:
        """The width of limbs and trunk over the average, limited so that the body fits the field of view."""
        return float(np.clip(np.sqrt(self.bmi / 24 * self.height_cm / 170), 0.84, 1.04))

    @property
    def fatness(self) -> float:
        """The thickness of subcutaneous fat over the average."""
        return float(np.clip((self.bmi - 12) / 12 * (1.2 if self.sex == "female" else 0.8), 0.45, 1.35))

    def rng(self, *purpose: str) -> np.random.Generator:
        """Random numbers of this person for one purpose, independent of those for other purposes."""
        return _rng(self.population, self.seed, *purpose)


def draw_subject(population: str, seed: int) -> Subject:
    """The person with the number `seed` in a population; the same person in every call.

    Raises InputError for an unknown population or a negative seed.
    """
    if population not in POPULATIONS:
        raise InputError(f"There is no population '{population}'; there are {', '.join(POPULATIONS)}.")
    if seed < 0:
        raise InputError(f"The seed of a subject must not be negative, got {seed}.")
    people = POPULATIONS[population]
    rng = _rng(population, seed, "anatomy")
    sex = ("female", "male")[rng.integers(2)]
    ill = people.severity is not None
    return Subject(
        population,
        seed,
        age_years=float(rng.uniform(*people.ages)),
        sex=sex,
        height_cm=float(people.height_cm[sex] + 6.5 * rng.standard_normal()),
        bmi=float(np.clip(people.bmi[0] + people.bmi[1] * rng.standard_normal(), 17, 36)),
        pattern=str(rng.choice(PATTERNS)) if ill else "none",
        severity=float(rng.beta(*people.severity)) if people.severity else 0.0,
        activity=float(rng.random()) if ill else 0.0,
    )


def _rng(population: str, seed: int, *purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, *(zlib.crc32(word.encode()) for word in (population, *purpose))])
