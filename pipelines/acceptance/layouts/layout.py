"""The layout of a phantom: where its vials lie, which values they have, and which errors are accepted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spokestream.simulator.phantoms.anatomies.nist import SPHERE_MM, SPHERES_MM, T1_ARRAY_MS, T2_ARRAY_MS
from spokestream.simulator.phantoms.anatomies.squares import SIDE_MM, SQUARES_MM, square_values
from spokestream.simulator.phantoms.subject import Subject

__all__ = ["DRIFTS", "LIMITS", "NIST_FIELD_T", "Layout", "Limit", "Vial", "nist_layouts", "squares_layout"]

NIST_FIELD_T = (2.8, 3.2)
"""Main fields, in tesla, for which the reference values of the NIST phantom hold; they were measured at 3 T."""


@dataclass(frozen=True)
class Vial:
    """One vial, sphere or square. A square is taken as the circle in it."""

    name: str
    x_mm: float
    """Place of the centre in the picture, to the right of any common point."""
    y_mm: float
    """Place of the centre in the picture, downwards from the same point."""
    radius_mm: float
    reference: Mapping[str, float]
    """Name of a map -> the vial's value in the unit of the map."""


@dataclass(frozen=True)
class Limit:
    """The largest accepted deviation: a part of the value or an absolute one, whichever is larger."""

    relative: float = 0.0
    absolute: float = 0.0

    def of(self, value: float) -> float:
        """The largest accepted deviation from a value, in its unit."""
        return max(self.relative * abs(value), self.absolute)


@dataclass(frozen=True)
class Layout:
    """The vials of one plane of a phantom."""

    title: str
    vials: tuple[Vial, ...]
    limits: Mapping[str, Limit]
    """Name of a map -> limit of the deviation from the reference; other maps are shown and not judged."""
    drifts: Mapping[str, Limit]
    """Name of a map -> limit of the change since the baseline; other maps are not judged."""
    field_t: tuple[float, float] | None = None
    """Smallest and largest main field, in tesla, at which the reference values hold; None is every field."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Name of a map -> a sentence to read with its values."""


LIMITS = {"ff": Limit(absolute=0.03), "t1h2o": Limit(0.1), "t1": Limit(0.1, 30.0), "t1fat": Limit(0.15)}
"""Limits of the deviation from the reference, somewhat wider than the deviations in simulated scans with flip angles of
0.81 to 0.94 of nominal: 5 % of T1 above 250 ms and up to 25 ms below. See `docs/acceptance.md`."""
DRIFTS = {name: Limit(limit.relative / 2, limit.absolute / 2) for name, limit in LIMITS.items()} | {"t2": Limit(0.1)}
"""Limits of the change since the baseline: half of those above, because what is always wrong does not change."""
T2_NOTE = (
    "T2 is not judged by its reference, because T2 maps take the flip angles as nominal, and B1 in a phantom of water "
    "differs by up to 20 %; compare it with a baseline, or give a file of vials with a limit of your own."
)


def nist_layouts() -> tuple[Layout, ...]:
    """The T1 array and the T2 array of the ISMRM/NIST system phantom, with their published values at 3 T."""
    return tuple(
        Layout(
            f"{name} array of the ISMRM/NIST system phantom",
            tuple(
                Vial(f"sphere {n + 1}", x_mm, y_mm, SPHERE_MM, {"t1": t1, "t2": t2, "t1h2o": t1, "ff": 0.0})
                for n, ((x_mm, y_mm), (t1, t2)) in enumerate(zip(SPHERES_MM, values, strict=True))
            ),
            LIMITS,
            DRIFTS,
            NIST_FIELD_T,
            {"t2": T2_NOTE},
        )
        for name, values in (("T1", T1_ARRAY_MS), ("T2", T2_ARRAY_MS))
    )


def squares_layout(subject: Subject) -> Layout:
    """The squares of the simulated phantom `squares`, whose values are those of a subject."""
    values = square_values(subject)
    return Layout(
        "90 squares with random values",
        tuple(
            Vial(
                f"square {n + 1}", x_mm, y_mm, SIDE_MM / 2, {name: float(column[n]) for name, column in values.items()}
            )
            for n, (x_mm, y_mm) in enumerate(SQUARES_MM)
        ),
        LIMITS,
        DRIFTS,
    )
