"""Files of vials: what they declare, and one sentence for everything that is wrong with them."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from spokestream.errors import FileError, InputError
from spokestream.pipelines.acceptance.layouts.layout import DRIFTS, LIMITS
from spokestream.pipelines.acceptance.layouts.phantoms import phantom_layouts
from spokestream.pipelines.acceptance.layouts.vials_file import read_vials
from spokestream.simulator.phantoms import draw_subject, render

GOOD = """
title = "Agarose of our site"
field_t = [2.8, 3.2]
diameter_mm = 20

[limits]
t1 = { percent = 5, absolute = 10 }
[drifts]
t1 = { percent = 2 }
ff = { absolute = 0.01 }

[[vial]]
name = "A"
centre_mm = [-30, 0.5]
reference = { t1 = 1200, t2 = 80 }

[[vial]]
centre_mm = [30, 0]
diameter_mm = 15
reference = { ff = 0.25 }
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "vials.toml"


def test_a_file_declares_vials_and_limits(file):
    file.write_text(GOOD)
    layout = read_vials(file)
    assert layout.title == "Agarose of our site"
    assert layout.field_t == (2.8, 3.2)
    a, b = layout.vials
    assert (a.name, a.x_mm, a.y_mm, a.radius_mm, a.reference) == ("A", -30, 0.5, 10, {"t1": 1200, "t2": 80})
    assert (b.name, b.x_mm, b.radius_mm, b.reference) == ("vial 2", 30, 7.5, {"ff": 0.25})
    assert layout.limits["t1"].of(1200) == 60
    assert layout.limits["t1"].of(100) == 10
    assert layout.drifts["t1"].of(1200) == 24
    assert layout.drifts["ff"].of(0.25) == 0.01
    assert phantom_layouts(str(file), file) == (layout,)


def test_the_file_that_the_page_shows_is_read(file):
    page = (Path(__file__).parents[4] / "docs" / "acceptance.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    file.write_text(text)
    layout = read_vials(file)
    assert [vial.name for vial in layout.vials] == ["A", "B", "C"]
    assert layout.limits["t2"].of(20) == 3
    for name, limit in {**LIMITS, "t2": None}.items():
        relative, absolute = (f"{100 * limit.relative:g} %", f"{limit.absolute:g}") if limit else ("not judged", "0")
        (row,) = re.findall(rf"^\| `{name}` \| (.*?) \| (.*?) \|$", page, flags=re.MULTILINE)
        assert relative in row[0] or absolute in row[0]
        assert f"{100 * DRIFTS[name].relative:g} %" in row[1] or f"{DRIFTS[name].absolute:g}" in row[1]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("title =", "titel =", "'titel' has no meaning in the file; known are diameter_mm, drifts, field_t"),
        ("[2.8, 3.2]", "3.0", "field_t must be the smallest and the largest main field"),
        ("t1 = 1200", "T1 = 1200", "there is no map 'T1', which the reference of vial 1 names; known are ff, t1h2o"),
        ("t1 = 1200", 't1 = "long"', "t1 of vial 1 must be a number"),
        ("t1 = 1200", "t1 = 0", "t1 of vial 1 is 0; it must be positive"),
        ("t1 = 1200", "t1 = nan", "t1 of vial 1 must be a number"),
        ("[-30, 0.5]", "[-30]", r"vial 1 needs centre_mm = \[x, y\]"),
        ("centre_mm = [30, 0]\n", "", "vial 2 needs centre_mm"),
        ("reference = { ff = 0.25 }", "", "vial 2 needs reference values"),
        ("diameter_mm = 15", "diameter_mm = 0", "diameter_mm of vial 2 is 0; it must be positive"),
        ("diameter_mm = 20", "", "diameter_mm of vial 1 must be a number"),
        ("{ percent = 5, absolute = 10 }", "5", r"t1 in \[limits\] must be like \{ percent = 10 \}"),
        ("percent = 5", "percent = -5", r"the limit of t1 in \[limits\] is negative"),
        ("percent = 5", "per_cent = 5", r"'per_cent' has no meaning in t1 in \[limits\]; known are absolute, percent"),
        ('name = "A"', 'name = "vial 2"', "two vials have the name 'vial 2'"),
        (GOOD, "title = 'none'", "there are no vials"),
        (GOOD, "title = ", "is not a TOML file"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(old, new, sentence, file):
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(FileError, match=sentence) as refused:
        read_vials(file)
    assert str(refused.value).startswith(str(file))


def test_a_file_that_is_missing_is_refused(file):
    with pytest.raises(FileError, match=r"The file of vials .* cannot be read: No such file"):
        read_vials(file)


def test_a_phantom_that_is_unknown_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no phantom 'acr'; known are nist, squares, and files of vials \(\*.toml\)"):
        phantom_layouts("acr", tmp_path / "scan.h5")


def test_squares_have_the_values_of_the_simulated_subject(tmp_path):
    with h5py.File(tmp_path / "scan.truth.h5", "w") as truth:
        truth.attrs.update(anatomy="squares", population="volunteers", seed=7)
    (layout,) = phantom_layouts("squares", tmp_path / "scan.h5")
    phantom = render("squares", draw_subject("volunteers", 7), matrix=256)
    for n in (0, 41, 89):
        inside = phantom.label == n + 1
        vial, (y, x) = layout.vials[n], np.argwhere(inside).mean(0) - 128
        assert (vial.x_mm, vial.y_mm) == pytest.approx((x, y))
        for name, value in vial.reference.items():
            assert np.median(getattr(phantom, name)[inside]) == pytest.approx(value, rel=1e-4, abs=1e-4)


def test_squares_need_the_truth_of_the_scan(tmp_path):
    with pytest.raises(FileError, match=r"drawn at random for every simulated scan, and the file .*scan.truth.h5"):
        phantom_layouts("squares", tmp_path / "scan.h5")
