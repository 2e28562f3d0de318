"""What a study is: steps that measure numbers, and a report that sets them beside those of a paper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SCALES", "Claim", "Numbers", "Report", "Results", "Step", "Study", "Table"]

SCALES = ("paper", "small", "smoke")
"""The size of the paper; one that two cores finish in hours; and one that only tries whether everything runs."""

Numbers = Mapping[str, Any]
"""What a step measured, as JSON can hold it: numbers, texts, lists, and mappings of them."""
Results = Mapping[str, Numbers]
"""Name of a step -> what it measured."""


@dataclass(frozen=True)
class Step:
    """One part of a study. Its numbers are kept, so that an interrupted study goes on with the next step."""

    name: str
    """Letters, digits and hyphens; it is the name of a file."""
    run: Callable[[Path], Numbers]
    """Measures the numbers, given the folder in which the steps of this study keep data sets and networks. A later step
    may read what an earlier one left there."""
    after: Sequence[str] | None = None
    """Names of the earlier steps whose results it needs; None means all earlier ones. Steps that do not need each other
    may run at once, on different workers."""


@dataclass(frozen=True)
class Table:
    """A table of a report: texts in rows, with the values of the paper beside those found here."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Claim:
    """A statement of the paper about an order or a size, and whether it holds here."""

    text: str
    holds: bool
    found: str
    """The numbers found here that decide it."""


@dataclass(frozen=True)
class Report:
    """What is shown of a study."""

    tables: Sequence[Table]
    claims: Sequence[Claim]
    figures: Mapping[str, "Figure"] = field(default_factory=dict)
    """Caption -> figure."""


@dataclass(frozen=True)
class Study:
    """The study of one paper."""

    name: str
    paper: str
    """Authors, journal, year and page."""
    setting: str
    """What is measured here and how that differs from the paper, in a few sentences."""
    scales: Mapping[str, Any]
    """One of `SCALES` -> a frozen dataclass with the sizes of the study."""
    steps: Callable[[Any, int, int], Sequence[Step]]
    """The steps, given the sizes, the seed and the number of threads."""
    report: Callable[[Any, Results], Report]
    """The report, given the sizes and the results of all steps."""
