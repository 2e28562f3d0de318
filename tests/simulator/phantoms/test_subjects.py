"""People: reproducible, different from one another, and ill in the way their disease says."""

from dataclasses import replace

import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.simulator.phantoms import POPULATIONS, draw_subject, render


def people(population, n=200):
    return [draw_subject(population, seed) for seed in range(n)]


def muscle(phantom):
    ill = np.array([name.startswith(("right ", "left ")) for name in phantom.label_names])
    return ill[phantom.label]


def mean_in(phantom, names, values):
    here = np.isin(phantom.label, [n for n, name in enumerate(phantom.label_names) if name.endswith(names)])
    return values[here].mean()


@pytest.fixture(scope="module")
def person():
    return draw_subject("patients", 5)


def test_a_seed_is_one_person_and_another_seed_is_another():
    assert draw_subject("patients", 3) == draw_subject("patients", 3)
    assert len({(p.age_years, p.bmi) for population in POPULATIONS for p in people(population, 30)}) == 60


def test_patients_are_older_and_heavier_than_volunteers_and_only_they_are_ill():
    patients, volunteers = people("patients"), people("volunteers")
    for quantity in ("age_years", "bmi", "severity", "activity"):
        ill, well = (np.mean([getattr(p, quantity) for p in group]) for group in (patients, volunteers))
        assert ill > well
    assert {p.pattern for p in patients} == {"dystrophy", "myositis", "neuropathy"}
    assert {(p.pattern, p.severity, p.activity) for p in volunteers} == {("none", 0.0, 0.0)}
    for person in (*patients, *volunteers):
        assert 16 <= person.age_years <= 76
        assert 17 <= person.bmi <= 36
        assert 135 < person.height_cm < 205
    shares = [np.mean([p.sex == "female" for p in group]) for group in (patients, volunteers)]
    assert all(0.4 < share < 0.6 for share in shares)


@pytest.mark.parametrize("anatomy", ["thigh", "pelvis"])
def test_muscle_of_patients_is_fattier_and_wetter_than_that_of_volunteers(anatomy):
    fat, t1, t2 = {}, {}, {}
    for population in POPULATIONS:
        slices = [render(anatomy, person, matrix=45) for person in people(population, 20)]
        fat[population] = np.array([np.mean(p.ff[muscle(p) & (p.pd > 0.5)]) for p in slices])
        lean = [muscle(p) & (p.ff < 0.3) & (p.pd > 0.5) for p in slices]
        t1[population] = np.array([np.percentile(p.t1h2o[m], 80) for p, m in zip(slices, lean, strict=True)])
        t2[population] = np.array([np.percentile(p.t2h2o[m], 80) for p, m in zip(slices, lean, strict=True)])
    assert fat["patients"].mean() > fat["volunteers"].mean() + 0.12
    assert fat["patients"].std() > 3 * fat["volunteers"].std()
    assert t1["patients"].mean() > t1["volunteers"].mean()
    assert t2["patients"].mean() > t2["volunteers"].mean()


def test_oedema_prolongs_both_relaxation_times_of_muscle_water(person):
    dry, wet = (render("thigh", replace(person, severity=0.0, activity=x), matrix=90) for x in (0.0, 1.0))
    inside = muscle(dry) & (dry.ff < 0.1)
    for name in ("t1h2o", "t2h2o"):
        before, after = getattr(dry, name)[inside], getattr(wet, name)[inside]
        assert after.mean() > before.mean()
        assert (after > before - 1e-3).mean() > 0.98
    assert 36 < np.median(dry.t2h2o[inside]) < 42
    assert 45 < np.percentile(wet.t2h2o[inside], 99) < 70


def test_diseases_choose_their_muscles():
    back, front = ("semimembranosus", "long head"), ("vastus lateralis", "vastus medialis", "vastus intermedius")
    share = {}
    for pattern in ("dystrophy", "myositis"):
        people_of = [replace(draw_subject("patients", seed), pattern=pattern, severity=0.7) for seed in range(8)]
        slices = [render("thigh", person, matrix=45) for person in people_of]
        share[pattern] = np.mean([mean_in(p, back, p.ff) - mean_in(p, front, p.ff) for p in slices])
    assert share["dystrophy"] > 0.05
    assert share["myositis"] < -0.05
    far = {}
    for anatomy in ("thigh", "calf"):
        sick = [replace(draw_subject("patients", seed), pattern="neuropathy", severity=0.7) for seed in range(8)]
        far[anatomy] = np.mean([np.mean(p.ff[muscle(p)]) for p in (render(anatomy, s, matrix=45) for s in sick)])
    assert far["calf"] > far["thigh"] + 0.1


def test_muscle_gets_fattier_with_age():
    young, old = (
        np.mean([np.median(p.ff[muscle(p)]) for p in slices])
        for slices in (
            [render("thigh", replace(draw_subject("volunteers", seed), age_years=age), matrix=60) for seed in range(4)]
            for age in (20.0, 75.0)
        )
    )
    assert 0.02 < young < old < 0.15


def test_liver_fattens_with_weight_and_marrow_with_age(person):
    def fat(name, **changes):
        phantom = render("abdomen", replace(person, **changes), matrix=90)
        return np.median(phantom.ff[phantom.label == phantom.label_names.index(name)])

    assert 0.005 < fat("liver", bmi=17.0) < fat("liver", bmi=33.0) < 0.45
    assert 0.2 < fat("red marrow", age_years=20.0) < fat("red marrow", age_years=70.0) - 0.15


def test_bodies_have_their_size_and_fat(person):
    """Tall and heavy people are wider; women and heavy people have more fat under the skin."""

    def areas(**changes):
        phantom = render("thigh", replace(person, **changes), matrix=90)
        skin = phantom.label == phantom.label_names.index("subcutaneous fat")
        return np.count_nonzero(phantom.pd > 0.3), np.count_nonzero(skin)

    thin, heavy = areas(bmi=18.0, height_cm=160.0, sex="male"), areas(bmi=26.0, height_cm=160.0, sex="male")
    assert heavy[0] > 1.1 * thin[0]
    assert heavy[1] > 1.2 * thin[1]
    woman = areas(bmi=18.0, height_cm=160.0, sex="female")
    assert woman[1] > 1.1 * thin[1]


@pytest.mark.parametrize(
    ("population", "seed", "words"), [("martians", 0, "patients, volunteers"), ("patients", -1, "negative")]
)
def test_impossible_subjects_are_refused(population, seed, words):
    with pytest.raises(InputError, match=words):
        draw_subject(population, seed)
