"""Errors of maps in every tissue of a simulated scan, in all voxels and in pure ones, and over regions of known value.

A voxel at the border of two tissues has no T1 of its own: its true value is a mean of the values of both. Pure voxels,
which hold one tissue only, show the errors of the method without those of the mixture and of blurring at borders.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from spokestream.models.evaluation.metrics import line, region_means
from spokestream.pipelines.files.truth import Truth, error_table, judged_voxels, map_errors
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.physics.tissue_models.registry import model_of_maps

__all__ = ["RegionFit", "TissueError", "error_tables", "region_fits", "tissue_errors"]

Volume = NDArray[np.float32]

NUMBERED = re.compile(r".* \d+")
"""Names of regions of known, uniform values: the spheres and squares of test objects."""


@dataclass(frozen=True)
class TissueError:
    """Errors of one map in the voxels of one tissue."""

    name: str
    tissue: str
    pure: bool
    """Whether only voxels are used that hold no other tissue."""
    voxels: int
    truth: float
    """Median of the true values."""
    found: float
    """Median of the map."""
    bias: float
    rmse: float


@dataclass(frozen=True)
class RegionFit:
    """The means of regions of known value: those of the map against those of the truth, in pure voxels."""

    name: str
    regions: int
    r2: float
    """Squared correlation of the means."""
    bias: float
    rmse: float


def tissue_errors(maps: Mapping[str, Volume], truth: Truth) -> list[TissueError]:
    """Errors of every parameter in every tissue that has voxels where the map and its truth have a meaning.

    A tissue without pure voxels has no row for them.

    Raises InputError if maps and truth have different shapes.
    """
    rows = []
    for name, mask in judged_voxels(maps, truth).items():
        for label, tissue in enumerate(truth.names):
            everywhere = mask & (truth.label == label)
            for pure in (False, True):
                voxels = everywhere & (truth.purity == 1) if pure else everywhere
                if label and voxels.any():
                    found, true = (values[name][voxels].astype(np.float64) for values in (maps, truth.maps))
                    bias, rmse = _bias_and_rmse(found - true)
                    medians = float(np.median(true)), float(np.median(found))
                    rows.append(TissueError(name, tissue, pure, true.size, *medians, bias, rmse))
    return rows


def region_fits(maps: Mapping[str, Volume], truth: Truth) -> list[RegionFit]:
    """How the means over numbered regions agree with the truth, one fit per parameter with three regions or more.

    Raises InputError if maps and truth have different shapes.
    """
    numbered = [label for label, name in enumerate(truth.names) if NUMBERED.fullmatch(name)]
    fits = []
    for name, mask in judged_voxels(maps, truth).items():
        pure = mask & (truth.purity == 1)
        present = np.intersect1d(numbered, truth.label[pure])
        if present.size >= 3:
            found, true = (region_means(values[name], truth.label, pure, present) for values in (maps, truth.maps))
            r2 = line(found, true).r2 if np.ptp(found) and np.ptp(true) else np.nan
            fits.append(RegionFit(name, present.size, r2, *_bias_and_rmse(found - true)))
    return fits


def _tissue_table(rows: Sequence[TissueError]) -> Table:
    """A table for the console, narrow enough for 80 columns: all voxels of a map and tissue, then its pure ones."""
    table = Table(title="Maps against the truth, by tissue", title_style="bold", header_style="bold")
    table.add_column("map")
    table.add_column("tissue")
    for column in ("voxels", "true", "found", "bias", "RMSE"):
        table.add_column(column, justify="right")
    for row in rows:
        digits = QUANTITIES[row.name].digits
        table.add_row(
            QUANTITIES[row.name].label, f"{row.tissue}, pure" if row.pure else row.tissue, str(row.voxels),
            f"{row.truth:{digits}}", f"{row.found:{digits}}", f"{row.bias:+{digits}}", f"{row.rmse:{digits}}",
        )  # fmt: skip
    return table


def _fit_table(fits: Sequence[RegionFit]) -> Table:
    """A table for the console with one row per map."""
    table = Table(title="Means of regions against the truth", title_style="bold", header_style="bold")
    table.add_column("map")
    for column in ("regions", "R²", "bias", "RMSE"):
        table.add_column(column, justify="right")
    for fit in fits:
        quantity = QUANTITIES[fit.name]
        values = f"{fit.r2:.5f}", f"{fit.bias:+{quantity.digits}}", f"{fit.rmse:{quantity.digits}}"
        table.add_row(quantity.label, str(fit.regions), *values)
    return table


def error_tables(maps: Mapping[str, Volume], truth: Truth) -> list[Table]:
    """The tables for the console that suit the tissue model and the object.

    Maps of one pool are compared in every tissue; maps of pools that mix, in the regions of their tissue model, because
    there the fraction of the pools separates tissues. Means over numbered regions are added where there are such.

    Raises InputError if maps and truth have different shapes.
    """
    mixed = bool(model_of_maps(maps).fraction)
    errors = error_table(map_errors(maps, truth)) if mixed else _tissue_table(tissue_errors(maps, truth))
    fits = region_fits(maps, truth)
    return [errors, _fit_table(fits)] if fits else [errors]


def _bias_and_rmse(error: NDArray[np.float64]) -> tuple[float, float]:
    return float(np.mean(error)), float(np.sqrt(np.mean(error**2)))
