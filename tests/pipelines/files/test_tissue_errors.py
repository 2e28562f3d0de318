"""Errors by tissue, in all and in pure voxels, and fits over the regions of test objects."""

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from spokestream.errors import InputError
from spokestream.pipelines.files.tissue_errors import error_tables, region_fits, tissue_errors
from spokestream.pipelines.files.truth import Truth

SHAPE = (1, 8, 9)


def truth_of(names, t1, t2):
    """Columns 1.. hold one tissue each; in row 7 voxels are mixed, column 0 is air."""
    label = np.zeros(SHAPE, np.uint8)
    label[..., 1 : len(names)] = np.arange(1, len(names))
    purity = np.ones(SHAPE, np.float32)
    purity[:, 7] = 0.5
    maps = {"t1": np.r_[0, t1][label], "t2": np.r_[0, t2][label], "pd": label > 0}
    return Truth({name: m.astype(np.float32) for name, m in maps.items()}, label, ("air", *names[1:]), purity)


@pytest.fixture
def brain():
    return truth_of(("air", "white matter", "grey matter", "spinal fluid"), [832, 1331, 3799], [80, 110, 870])


def found_in(truth):
    """T1 of white matter is 20 ms too long where it is pure and 300 ms where it is mixed; T2 is right."""
    maps = {name: truth.maps[name].copy() for name in ("t1", "t2")}
    white = truth.label == 1
    maps["t1"][white] += np.where(truth.purity == 1, 20, 300)[white]
    return maps


def test_pure_voxels_are_separated_from_mixed_ones(brain):
    rows = {(r.name, r.tissue, r.pure): r for r in tissue_errors(found_in(brain), brain)}
    assert set(rows) == {
        (name, tissue, pure) for name in ("t1", "t2") for tissue in brain.names[1:] for pure in (False, True)
    }
    pure, every = rows["t1", "white matter", True], rows["t1", "white matter", False]
    assert (pure.voxels, pure.truth, pure.found, pure.bias, pure.rmse) == (7, 832, 852, 20, 20)
    assert (every.voxels, every.truth, every.found, every.bias) == (8, 832, 852, (7 * 20 + 300) / 8)
    assert every.rmse == pytest.approx(np.sqrt((7 * 20**2 + 300**2) / 8))
    for name, tissue, pure in rows:
        if (name, tissue) != ("t1", "white matter"):
            assert rows[name, tissue, pure].rmse == 0


def test_a_tissue_that_is_nowhere_pure_has_no_row_of_pure_voxels(brain):
    brain.purity[brain.label == 2] = 0.9
    rows = [(r.tissue, r.pure) for r in tissue_errors(found_in(brain), brain) if r.name == "t2"]
    assert ("grey matter", False) in rows
    assert ("grey matter", True) not in rows


def test_voxels_of_truth_without_a_single_t1_are_left_out(brain):
    for name in ("t1", "t2"):
        brain.maps[name][brain.label == 3] = np.nan  # as `read_truth` does where there is fat
    found = found_in(brain)
    found["t1"][brain.label == 0] = 500  # noise outside the head
    assert {r.tissue for r in tissue_errors(found, brain)} == {"white matter", "grey matter"}


def test_spheres_are_fitted_by_their_pure_means(brain):
    t1, t2 = [300.0, 700.0, 1200.0, 1900.0, 2400.0], [20.0, 40.0, 90.0, 200.0, 500.0]
    truth = truth_of(("air", *(f"sphere {n}" for n in range(1, 6))), t1, t2)
    maps = {name: truth.maps[name].copy() for name in ("t1", "t2")}
    off = np.array([0, 30.0, -20.0, 10.0, 60.0, -40.0], np.float32)
    maps["t1"] += off[truth.label]
    maps["t1"][truth.purity < 1] += 5000  # mixed voxels must not count
    t1_fit, t2_fit = region_fits(maps, truth)
    assert (t1_fit.name, t1_fit.regions, t2_fit.regions) == ("t1", 5, 5)
    assert t1_fit.r2 == pytest.approx(stats.linregress(np.add(t1, off[1:]), t1).rvalue ** 2)
    assert t1_fit.bias == pytest.approx(off[1:].mean())
    assert t1_fit.rmse == pytest.approx(np.sqrt(np.mean(off[1:] ** 2)))
    assert (t2_fit.r2, t2_fit.rmse) == (pytest.approx(1), 0)
    assert region_fits(found_in(brain), brain) == []


def test_the_table_fits_a_terminal_of_80_columns(brain):
    console = Console(width=80, record=True)
    (table,) = error_tables(found_in(brain), brain)
    console.print(table)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.export_text().splitlines()]
    assert ["T1 (ms)", "white matter", "8", "832.0", "852.0", "+55.0", "107.7"] in rows
    assert ["T1 (ms)", "white matter, pure", "7", "832.0", "852.0", "+20.0", "20.0"] in rows


def test_maps_of_another_shape_are_refused(brain):
    with pytest.raises(InputError, match="differ in shape"):
        tissue_errors({name: np.ones((1, 3, 3), np.float32) for name in ("t1", "t2")}, brain)
