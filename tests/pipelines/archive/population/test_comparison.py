import csv
import re

import numpy as np
import pytest

from spokestream.pipelines.archive.population.comparison import population, robust_z, summaries
from spokestream.pipelines.archive.population.report import write_population
from spokestream.pipelines.archive.population.values import RegionValues
from spokestream.pipelines.archive.record import DONE, FAILED, ScanRecord


def test_the_robust_score_of_a_normal_distribution_is_its_distance_in_standard_deviations():
    values = np.random.default_rng(0).normal(1000, 20, 100_001)
    assert robust_z(values) == pytest.approx((values - 1000) / 20, abs=0.05)


def test_an_outlier_does_not_hide_itself():
    scores = robust_z(np.array([10.0, 11, 12, 13, 14, 1000]))
    assert scores == pytest.approx((np.array([10, 11, 12, 13, 14, 1000]) - 12.5) / (1.5 / 0.6745))


def test_equal_values_have_no_outliers_and_one_that_differs_from_equal_ones_has_a_finite_score():
    assert robust_z(np.full(9, 3.0)).tolist() == [0.0] * 9
    # the mean absolute distance is 9 / 9 = 1
    assert robust_z(np.array([3.0] * 8 + [12.0])).tolist() == [0.0] * 8 + [9 * 0.7979]


def test_fewer_than_five_scans_have_no_score():
    assert np.isnan(robust_z(np.array([1.0, 1.01, 1.02, 50]))).all()
    assert not np.isnan(robust_z(np.array([1.0, 1.01, 1.02, 1.03, 50]))).any()


def record(number, median, sequence="train", scanner="A 3 T", region="tissue"):
    values = [RegionValues("t1h2o", region, 100, median - 50, median, median + 50)]
    return ScanRecord(f"scan{number}", DONE, sequence=sequence, pipeline="mrf_t1ff", scanner=scanner, values=values)


MEDIANS = [1000, 1010, 1020, 1030, 1040, 1050, 1200]
RECORDS = [
    *(record(i, median, scanner="A 3 T" if i < 4 else "B 3 T") for i, median in enumerate(MEDIANS)),
    record(7, 400, sequence="another train"),
    ScanRecord("broken", FAILED, "It is <damaged>."),
]


def test_scans_are_compared_with_those_of_the_same_sequence():
    rows = population(RECORDS)
    assert [(row.scan, row.is_outlier) for row in rows] == [
        ("scan7", False), *((f"scan{i}", i == 6) for i in range(7)),
    ]  # fmt: skip
    # the distances from 1030 are 0, 10, 10, 20, 20, 30, 170
    assert rows[-1].z == pytest.approx(170 / (20 / 0.6745))


def test_summaries_are_over_all_scanners_and_over_each_of_several():
    found = {
        (s.group[0], s.scanner): (s.scans, s.lower, s.median, s.upper, s.outliers)
        for s in summaries(population(RECORDS))
    }
    assert found == {
        ("another train", ""): (1, 400, 400, 400, 0),
        ("train", ""): (7, 1015, 1030, 1045, 1),
        ("train", "A 3 T"): (4, 1007.5, 1015, 1022.5, 0),
        ("train", "B 3 T"): (3, 1045, 1050, 1125, 1),
    }


def test_the_report_has_every_value_and_names_the_outlier(tmp_path):
    assert write_population(tmp_path, RECORDS) == ["population.html", "population.csv"]
    with (tmp_path / "population.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["median"]) for row in rows] == [400, *MEDIANS]
    assert [row["scan"] for row in rows if row["outlier"] == "True"] == ["scan6"]
    page = (tmp_path / "population.html").read_text()
    (outliers,) = re.findall(r"<caption>Outliers</caption>.*?</table>", page)
    assert all(text in outliers for text in ("scan6", "+5.7", "1200.0"))
    assert "scan5" not in outliers
    assert "<caption>Scanners compared</caption>" in page
    assert "9 scans: 8 done, 1 failed." in page


def test_a_report_without_any_maps_can_be_written(tmp_path):
    write_population(tmp_path, [ScanRecord("broken", FAILED, "It is damaged.")])
    assert "1 failed" in (tmp_path / "population.html").read_text()
