"""The baseline: changes are judged by a limit or by the noise of both means; foreign baselines are refused."""

from dataclasses import replace

import numpy as np
import pytest

from spokestream.errors import FileError
from spokestream.pipelines.acceptance.accepting import MeasuredLayout
from spokestream.pipelines.acceptance.baseline import compared, read_baseline, write_baseline
from spokestream.pipelines.acceptance.layouts.layout import Layout, Limit, Vial
from spokestream.pipelines.acceptance.measuring import Row
from spokestream.pipelines.acceptance.placement.finding import Found
from spokestream.pipelines.acceptance.placement.pose import PixelGrid, Pose
from spokestream.pipelines.acceptance.report import notes, tables, verdict, where

LAYOUT = Layout(
    "two vials",
    (Vial("A", -20, 0, 10, {"t1": 1000}), Vial("B", 20, 0, 10, {"t1": 50})),
    {"t1": Limit(0.1)},
    {"t1": Limit(0.05)},
)


def measured(mean=1000.0, sd=20.0, layout=LAYOUT, mean_b=100.0):
    rows = (
        Row("t1", "A", 1, 1000.0, mean, sd, 100, True, 100.0),
        Row("t1", "B", 2, 50.0, mean_b, 1.0, 100, False, None),
    )
    pose = Pose(-1.25, 2.0, -0.01)
    return MeasuredLayout(layout, 0, Found(pose, 0.9, 0.4), np.zeros((2, 2)), PixelGrid(64, 64, (2.0, 2.0)), rows)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "baseline.json"


@pytest.mark.parametrize(
    ("mean", "sd", "limit", "stable"),
    [
        (1049.0, 20.0, 50.0, True),  # 5 %
        (1051.0, 20.0, 50.0, False),
        (1051.0, 200.0, 3 * np.hypot(2, 20), True),  # three standard errors of the difference
        (1061.0, 200.0, 3 * np.hypot(2, 20), False),
    ],
)
def test_changes_are_judged_by_the_limit_or_by_the_noise(mean, sd, limit, stable, path):
    write_baseline(path, [measured()], "mrf_t1t2")
    (one,) = compared([measured(mean, sd)], read_baseline(path), "mrf_t1t2")
    row, unshown = one.rows
    assert row.change == pytest.approx(mean - 1000)
    assert row.drift_limit == pytest.approx(limit)
    assert (row.stable, row.accurate, row.passes) == (stable, True, stable)
    assert unshown.baseline == 100
    assert unshown.drift_limit is None
    assert verdict([one])[0] == stable


def test_a_vial_that_has_vanished_since_fails(path):
    write_baseline(path, [measured()], "mrf_t1t2")
    (one,) = compared([measured(np.nan, np.nan)], read_baseline(path), "mrf_t1t2")
    assert not one.rows[0].passes


def test_a_vial_that_was_absent_then_is_not_compared(path):
    write_baseline(path, [measured(np.nan, np.nan)], "mrf_t1t2")
    (one,) = compared([measured()], read_baseline(path), "mrf_t1t2")
    assert one.rows[0].baseline is None
    assert one.rows[0].passes


def test_another_pipeline_or_phantom_is_refused(path):
    write_baseline(path, [measured()], "mrf_t1t2")
    baseline = read_baseline(path)
    with pytest.raises(FileError, match=r"was measured with the pipeline mrf_t1t2, and this test with mrf_t1ff; give"):
        compared([measured()], baseline, "mrf_t1ff")
    other = measured(layout=replace(LAYOUT, title="three vials"))
    with pytest.raises(FileError, match="is that of two vials, and not of three vials"):
        compared([other], baseline, "mrf_t1t2")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "report"}', '{"kind": "spokestream acceptance baseline"}'])
def test_other_files_are_refused(text, path):
    path.write_text(text)
    with pytest.raises(FileError, match=r"is no baseline of an acceptance test; name a file that does not exist yet"):
        read_baseline(path)


def test_the_verdict_names_what_failed():
    passed, sentence = verdict([measured(mean=1101.0)])
    assert not passed
    assert sentence == "The phantom fails: 1 of 1 judged values are outside their limits (T1 of A)."
    assert verdict([measured(mean=1099.0)]) == (
        True,
        "The phantom passes: all 1 judged values are within their limits.",
    )


def test_nothing_judged_is_no_pass():
    one = measured()
    passed, sentence = verdict([one.with_rows([replace(row, limit=None) for row in one.rows])])
    assert not passed
    assert sentence.startswith("Nothing was judged, because no limit holds")


def test_words_and_tables_say_where_the_phantom_lies():
    one = measured()
    assert "2 vials found in slice 1, 1.2 mm left and 2.0 mm down of the middle, turned by 0.0°" in where(one)
    mirrored = replace(one, found=replace(one.found, pose=Pose(mirrored=True, size=1.04)))
    assert "It is mirrored: the phantom is seen from its other side" in where(mirrored)
    assert "Its size is not that of its layout" in where(mirrored)
    assert notes([one]) == ["Vials in brackets are not judged: the maps of T1 cannot show their values."]
    (table,) = tables([one])
    assert list(table.columns[0].cells) == ["A", "(B)"]
    assert list(table.columns[6].cells) == ["± 100.0", "–"]
