"""All anatomies: everything in its place, the same body on every grid and along its length."""

import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.simulator.phantoms import ANATOMIES, DEFAULT_FOV_MM, MAP_UNITS, draw_subject, render

BODIES = ("thigh", "calf", "shoulder", "pelvis", "abdomen", "brain")
MUSCULAR = BODIES[:-1]
LEVELS = (-1.0, -0.6, -0.2, 0.0, 0.3, 0.7, 1.0)


@pytest.fixture(scope="module")
def patient():
    return draw_subject("patients", 0)


@pytest.fixture(scope="module")
def middle(patient):
    return {anatomy: render(anatomy, patient, matrix=151) for anatomy in BODIES}


def where(phantom, *names):
    return np.isin(phantom.label, [n for n, name in enumerate(phantom.label_names) if name.endswith(names)])


def center(phantom, *names):
    """(to the patient's left, to the front) in mm from the middle, of the tissues' centre of mass."""
    n = len(phantom.pd)
    y, x = (np.argwhere(where(phantom, *names)).mean(axis=0) - n // 2) * phantom.fov_mm / n
    return x, -y


def area_cm2(phantom, mask):
    return np.count_nonzero(mask) * (phantom.fov_mm / len(phantom.pd) / 10) ** 2


@pytest.mark.parametrize("anatomy", ANATOMIES)
def test_maps_are_single_precision_finite_and_plausible(anatomy, patient):
    phantom = render(anatomy, patient, 0.15, 67)
    assert phantom.fov_mm == DEFAULT_FOV_MM[anatomy]
    assert phantom.label.dtype == np.uint8
    assert phantom.label.max() < len(phantom.label_names) == len(set(phantom.label_names))
    for name in MAP_UNITS:
        values = getattr(phantom, name)
        assert values.shape == (67, 67)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    tissue = phantom.pd > 0
    water, fat = tissue & (phantom.ff < 0.99), tissue & (phantom.ff > 0.01)
    assert phantom.pd.max() < 1.15
    assert phantom.ff.min() >= 0
    assert phantom.ff.max() <= 1
    assert phantom.t1h2o[water].min() > 20
    assert np.all(phantom.t2h2o[water] < phantom.t1h2o[water])
    assert phantom.t2h2o[water].min() > 5
    assert np.all((phantom.t1fat[fat] > 225) & (phantom.t1fat[fat] < 400))
    assert np.abs(phantom.deltaf).max() <= 120
    assert 0.3 <= phantom.b1.min() < phantom.b1.max() <= 1.25
    for name in ("ff", "t1h2o", "t2h2o", "t1fat"):
        assert not getattr(phantom, name)[~tissue].any()


@pytest.mark.parametrize("anatomy", MUSCULAR)
def test_water_of_muscle_lies_in_the_range_of_dictionaries(anatomy, middle):
    phantom = middle[anatomy]
    muscle = np.array([name.startswith(("right ", "left ")) for name in phantom.label_names])[phantom.label]
    lean = muscle & (phantom.ff < 0.4)
    assert np.all((phantom.t1h2o[lean] > 550) & (phantom.t1h2o[lean] < 2000))
    assert 1200 < np.median(phantom.t1h2o[lean]) < 1500
    assert 36 < np.median(phantom.t2h2o[lean]) < 50
    assert 0.62 < phantom.b1[muscle].mean() < 0.84


def test_b1_is_about_three_quarters_on_average():
    means = []
    for anatomy in MUSCULAR:
        for seed in range(8):
            phantom = render(anatomy, draw_subject("volunteers", seed), matrix=31)
            b1 = phantom.b1[phantom.pd > 0.1]
            assert 0.5 <= b1.min() < b1.max() <= 1
            means.append(b1.mean())
    assert 0.70 < np.mean(means) < 0.76


@pytest.mark.parametrize("anatomy", BODIES)
def test_every_tissue_shows_somewhere_along_the_body(anatomy, patient):
    slices = [render(anatomy, patient, level, 200) for level in LEVELS]
    seen = {phantom.label_names[n] for phantom in slices for n in np.unique(phantom.label)}
    assert seen == set(slices[0].label_names)


@pytest.mark.parametrize("anatomy", BODIES)
@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_everybody_fits_the_field_of_view(anatomy, level):
    for seed in range(6):
        for population in ("patients", "volunteers"):
            pd = render(anatomy, draw_subject(population, seed), level, 45).pd
            assert not np.r_[pd[0], pd[-1], pd[:, 0], pd[:, -1]].any()
            assert 0.1 < np.mean(pd > 0.3) < 0.6


@pytest.mark.parametrize("anatomy", ANATOMIES)
def test_grids_sample_the_same_body(anatomy, patient):
    """Averaging conserves protons, fat and relaxation: their totals do not depend on the matrix."""
    coarse, fine = (render(anatomy, patient, -0.3, matrix) for matrix in (64, 192))
    for total in (
        lambda p: p.pd, lambda p: p.pd * (1 - p.ff) * p.t1h2o, lambda p: p.pd * (1 - p.ff) * p.t2h2o,
        lambda p: p.pd * p.ff * p.t1fat, lambda p: p.pd * p.b1,
    ):  # fmt: skip
        a, b = (np.sum(total(p), dtype=float) / p.pd.size for p in (coarse, fine))
        assert a == pytest.approx(b, rel=0.03)


@pytest.mark.parametrize("anatomy", BODIES)
def test_slices_of_a_body_belong_together(anatomy, patient):
    here, near, far = (render(anatomy, patient, level, 61) for level in (-0.05, -0.04, 0.8))
    for name in ("pd", "ff", "t1h2o", "deltaf", "b1"):
        near_by, far_off = (np.mean(np.abs(getattr(p, name) - getattr(here, name))) for p in (near, far))
        assert near_by <= 0.25 * far_off
    assert not np.array_equal(near.t1h2o, here.t1h2o)


@pytest.mark.parametrize("anatomy", [name for name in ANATOMIES if name != "nist"])
def test_a_subject_looks_the_same_every_time_and_unlike_others(anatomy, patient):
    first = render(anatomy, patient, 0.4, 41)
    again, other = (render(anatomy, draw_subject("patients", seed), 0.4, 41) for seed in (0, 1))
    stranger = render(anatomy, draw_subject("volunteers", 0), 0.4, 41)
    for name in MAP_UNITS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    for phantom in (other, stranger):
        assert not np.array_equal(phantom.t1h2o, first.t1h2o)
        assert not np.array_equal(phantom.b1, first.b1)


@pytest.mark.parametrize("anatomy", MUSCULAR)
def test_the_right_side_mirrors_the_left(anatomy, middle):
    phantom = middle[anatomy]
    for name in {name.removeprefix("right ") for name in phantom.label_names if name.startswith("right ")}:
        areas = [area_cm2(phantom, where(phantom, f"{side} {name}")) for side in ("right", "left")]
        if min(areas) < 3:
            continue
        assert max(areas) < 1.6 * min(areas)
        (right_x, right_y), (left_x, left_y) = (center(phantom, f"{side} {name}") for side in ("right", "left"))
        assert right_x < 0 < left_x
        assert abs(right_x + left_x) < 16
        assert abs(right_y - left_y) < 16


@pytest.mark.parametrize(
    ("anatomy", "muscle_cm2"),
    [("thigh", (180, 380)), ("calf", (90, 200)), ("pelvis", (150, 380)), ("abdomen", (90, 240))],
)
def test_muscles_have_the_area_they_have_in_people(anatomy, muscle_cm2, middle):
    muscle = where(middle[anatomy], *(n for n in middle[anatomy].label_names if n.startswith(("right ", "left "))))
    low, high = muscle_cm2
    assert low < area_cm2(middle[anatomy], muscle) < high


def test_the_calf_is_in_order(middle):
    calf = middle["calf"]
    for side, medial in (("right", 1), ("left", -1)):
        at = {name: center(calf, f"{side} {name}") for name in ("tibialis anterior", "peroneus", "soleus")}
        inner, outer = (center(calf, f"{side} gastrocnemius {head}") for head in ("medialis", "lateralis"))
        assert at["tibialis anterior"][1] > at["peroneus"][1] > at["soleus"][1] > max(inner[1], outer[1])
        assert medial * inner[0] > medial * at["soleus"][0] > medial * outer[0]
        assert medial * at["peroneus"][0] < medial * outer[0] + 10


def test_the_shoulder_is_in_order(middle):
    shoulder = middle["shoulder"]
    for side, lateral in (("right", -1), ("left", 1)):
        names = ("deltoid", "infraspinatus", "subscapularis", "pectoralis major", "trapezius", "erector spinae")
        x, y = ({name: center(shoulder, f"{side} {name}")[k] for name in names} for k in (0, 1))
        assert max(names, key=lambda name: lateral * x[name]) == "deltoid"
        assert max(names, key=y.get) == "pectoralis major"
        assert min(names, key=y.get) == "trapezius"
        assert y["subscapularis"] > y["infraspinatus"]
    assert 60 < area_cm2(shoulder, where(shoulder, "lung")) < 160
    assert abs(center(shoulder, "spinal cord")[0]) < 6


def test_the_pelvis_is_in_order(middle):
    pelvis = middle["pelvis"]
    bladder, organ, rectum = (center(pelvis, name) for name in ("urine", "pelvic organ", "bowel"))
    assert bladder[1] > organ[1] > rectum[1]
    assert max(abs(x) for x, _ in (bladder, organ, rectum)) < 8
    for side in ("right", "left"):
        assert center(pelvis, f"{side} iliopsoas")[1] > 30
        assert center(pelvis, f"{side} gluteus maximus")[1] < -40
    wide = np.flatnonzero((pelvis.pd > 0.3).any(axis=0))
    deep = np.flatnonzero((pelvis.pd > 0.3).any(axis=1))
    assert 320 < np.ptp(wide) * 450 / 151 < 430
    assert 190 < np.ptp(deep) * 450 / 151 < 290


def test_the_abdomen_is_in_order(middle):
    abdomen = middle["abdomen"]
    assert center(abdomen, "liver")[0] < -20
    assert center(abdomen, "spleen")[0] > 60
    assert abs(center(abdomen, "kidney")[0]) < 20
    assert center(abdomen, "rectus abdominis")[1] > 50 > -50 > center(abdomen, "erector spinae")[1]
    assert 60 < area_cm2(abdomen, where(abdomen, "liver")) < 180
    assert 15 < area_cm2(abdomen, where(abdomen, "kidney")) < 60
    liver = abdomen.label == abdomen.label_names.index("liver")
    assert np.median(abdomen.t1h2o[liver]) == pytest.approx(809, rel=0.05)
    assert np.median(abdomen.t2h2o[liver]) == pytest.approx(34, rel=0.05)
    assert 0.02 < np.median(abdomen.ff[liver]) < 0.4


def test_the_brain_has_its_tissues_in_their_proportions(middle):
    brain = middle["brain"]
    grey, white, fluid = (where(brain, name) for name in ("grey matter", "white matter", "spinal fluid"))
    inside = grey | white | fluid
    assert 120 < area_cm2(brain, inside) < 190
    assert 0.5 < np.count_nonzero(grey) / np.count_nonzero(white) < 1.6
    assert 0.05 < np.count_nonzero(fluid) / np.count_nonzero(inside) < 0.3
    assert brain.t1h2o[fluid].max() == pytest.approx(3799, rel=0.01)
    assert not brain.ff[white].any()
    assert brain.ff[where(brain, "scalp fat")].mean() > 0.6
    # the cortex is a ribbon: hardly any white matter touches fluid
    near = sum(np.roll(fluid, step, axis) for axis in (0, 1) for step in (-1, 1)) > 0
    assert np.count_nonzero(near & white) < 0.12 * np.count_nonzero(near & (grey | white))


@pytest.fixture(scope="module")
def heads():
    return [render("brain", draw_subject("volunteers", seed), 0.2, 128) for seed in range(16)]


@pytest.mark.parametrize(
    ("tissue", "t1", "t2"), [("white matter", 832, 80), ("grey matter", 1331, 110), ("deep grey matter", 1150, 75)]
)
def test_relaxation_of_the_brain_varies_between_people_and_within_them(tissue, t1, t2, heads):
    pure = [(p.label == p.label_names.index(tissue)) & (p.purity == 1) for p in heads]
    for name, published, sd in (("t1h2o", t1, 0.025), ("t2h2o", t2, 0.035)):
        means = np.array([getattr(p, name)[mask].mean() for p, mask in zip(heads, pure, strict=True)]) / published
        assert abs(means.mean() - 1) < 3 * sd / np.sqrt(len(heads))
        # the standard deviation of 16 draws lies within 0.5 .. 1.6 times that of the distribution in 99 of 100 cases
        assert 0.5 * sd < means.std(ddof=1) < 1.6 * sd
    within = [p.t1h2o[mask].std() for p, mask in zip(heads, pure, strict=True)]
    assert 0.02 * t1 < np.median(within) < 0.045 * t1


def test_white_matter_varies_in_every_octave(heads):
    """Differences over 1, 2, 4, ... pixels of 2 mm keep growing, as those of a field of one long correlation do not."""
    growth = []
    for p in heads:
        white = (p.label == p.label_names.index("white matter")) & (p.purity == 1)
        rms = []
        for step in (1, 2, 4, 8):
            both = white[:, step:] & white[:, :-step]
            rms.append(np.sqrt(np.mean((p.t1h2o[:, step:] - p.t1h2o[:, :-step])[both] ** 2)))
        growth.append(rms)
    near, _, _, far = np.mean(growth, axis=0)
    # a field of correlation length L has a mean square difference of 1 - exp(-h^2 / 2 L^2) over a distance h
    expected = [np.mean([1 - np.exp(-(h**2) / 2 / mm**2) for mm in (2.5, 5, 10, 20)]) for h in (2.0, 16.0)]
    assert near / far == pytest.approx(
        np.sqrt(expected[0] / expected[1]), rel=0.15
    )  # and one field of 15 mm gives 0.14
    assert np.all(np.diff(np.mean(growth, axis=0)) > 0)


def test_the_cortex_is_two_to_four_millimetres_thick():
    """Area of the ribbon over the length of its border with white matter, on a grid of 1 mm."""
    for seed in range(4):
        p = render("brain", draw_subject("volunteers", seed), 0.7, 256)
        grey, white = (p.label == p.label_names.index(name) for name in ("grey matter", "white matter"))
        crossings = sum(np.count_nonzero(white & np.roll(grey, s, a)) for a in (0, 1) for s in (-1, 1))
        length_mm = crossings * np.pi / 4  # of a curve that runs in all directions on a square grid
        assert 2 < np.count_nonzero(grey) / length_mm < 4


def test_only_patients_have_lesions_in_white_matter(patient):
    for level in (-0.2, 0.3, 0.6):
        healthy = render("brain", draw_subject("volunteers", 0), level, 101)
        assert not where(healthy, "lesion").any()
    ill = [render("brain", patient, level, 151) for level in (0.1, 0.4, 0.7)]
    areas = [area_cm2(p, where(p, "lesion")) for p in ill]
    assert 0.2 < sum(areas) < 30
    lesion = np.concatenate([p.t2h2o[where(p, "lesion")] for p in ill])
    assert np.median(lesion) > 110


@pytest.mark.parametrize(
    ("anatomy", "matrix", "fov", "level", "words"),
    [
        ("elbow", 9, 350.0, 0.0, "'elbow'; there are thigh"),
        ("calf", 0, 350.0, 0.0, "positive"),
        ("calf", 9, -1.0, 0.0, "positive"),
        ("calf", 9, float("nan"), 0.0, "positive"),
        ("brain", 9, 350.0, 1.01, "between -1 and 1"),
    ],
)
def test_impossible_phantoms_are_refused(anatomy, matrix, fov, level, words, patient):
    with pytest.raises(InputError, match=words):
        render(anatomy, patient, level, matrix, fov)
