"""The values of all scans of an archive together: quartiles over scans, outliers among them, scanners compared."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spokestream.pipelines.archive.population.values import TISSUE, quartiles
from spokestream.pipelines.archive.record import ScanRecord
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["OUTLIER", "Group", "PopulationRow", "Summary", "population", "robust_z", "summaries"]

OUTLIER = 3.5
"""Robust z score beyond which a scan is an outlier; Iglewicz and Hoaglin 1993, How to detect and handle outliers."""
FEWEST = 5
"""Smallest number of scans among which outliers are looked for; the median deviation of fewer says little."""

Group = tuple[str, str, str]
"""Sequence, quantity and region: scans are compared within a group only."""


@dataclass(frozen=True)
class PopulationRow:
    """One quantity in one region of one scan, compared with the other scans of the same sequence."""

    scan: str
    scanner: str
    sequence: str
    quantity: str
    region: str
    voxels: int
    lower: float
    median: float
    upper: float
    z: float
    """Robust z score of the median among the scans; NaN if there are too few."""

    @property
    def group(self) -> Group:
        """The group within which it is compared."""
        return self.sequence, self.quantity, self.region

    @property
    def is_outlier(self) -> bool:
        """Whether the median lies far from those of the other scans."""
        return abs(self.z) > OUTLIER


@dataclass(frozen=True)
class Summary:
    """The medians of the scans of a group, of all scanners or of one: their quartiles."""

    group: Group
    scanner: str
    """Empty for all scanners."""
    scans: int
    lower: float
    median: float
    upper: float
    outliers: int


def population(records: Sequence[ScanRecord]) -> list[PopulationRow]:
    """The values of all scans, sorted by group; scans without maps have none."""
    by_group: dict[Group, list[tuple[ScanRecord, int]]] = defaultdict(list)
    for record in records:
        for i, values in enumerate(record.values):
            by_group[record.sequence, values.quantity, values.region].append((record, i))
    rows = []
    for sequence, quantity, region in sorted(by_group, key=_place):
        members = by_group[sequence, quantity, region]
        scores = robust_z(np.array([record.values[i].median for record, i in members]))
        for (record, i), z in zip(members, scores, strict=True):
            v = record.values[i]
            rows.append(
                PopulationRow(
                    record.scan,
                    record.scanner,
                    sequence,
                    quantity,
                    region,
                    v.voxels,
                    v.lower,
                    v.median,
                    v.upper,
                    float(z),
                )
            )
    return rows


def _place(group: Group) -> tuple[str, int, bool, str]:
    """The place of a group in the report: quantities in the order of their declaration, tissue before its regions."""
    sequence, quantity, region = group
    return sequence, list(QUANTITIES).index(quantity), region != TISSUE, region


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance (n,) of each value from the median, in robust standard deviations.

    The median absolute deviation of a normal distribution is 0.6745 standard deviations, and the mean one 0.7979; the
    mean one is used where more than half of the values are equal, so that the median one is 0. Values that are all
    equal have 0; fewer than `FEWEST` have NaN.
    """
    distance = values - np.median(values)
    if values.size < FEWEST:
        return np.full(values.shape, np.nan)
    deviation = float(np.median(np.abs(distance))) / 0.6745 or float(np.mean(np.abs(distance))) / 0.7979
    return np.asarray(distance / deviation if deviation else distance)


def summaries(rows: Sequence[PopulationRow]) -> list[Summary]:
    """The summary of every group over all scanners, followed by those of the scanners if there are several."""
    by_group: dict[Group, list[PopulationRow]] = defaultdict(list)
    for row in rows:
        by_group[row.group].append(row)
    found = []
    for group, members in by_group.items():
        scanners = sorted({row.scanner for row in members})
        for scanner in ["", *scanners] if len(scanners) > 1 else [""]:
            chosen = [row for row in members if scanner in ("", row.scanner)]
            outliers = sum(row.is_outlier for row in chosen)
            found.append(Summary(group, scanner, len(chosen), *quartiles([row.median for row in chosen]), outliers))
    return found
