"""The thigh: plausible values, anatomy in its place, the same body on every grid."""

import numpy as np
import pytest

from spokestream.errors import InputError
from spokestream.simulator.phantoms import MAP_UNITS, thigh
from spokestream.simulator.phantoms.anatomies.thigh import MUSCLES, PLAN

TISSUE_NAMES = PLAN.label_names


@pytest.fixture(scope="module")
def phantom():
    return thigh(141)


def center_of(phantom, name):
    """(row, column) of a tissue's centre of mass, in fields of view from the middle."""
    n = len(phantom.pd)
    where = np.argwhere(phantom.label == phantom.label_names.index(name))
    return (where.mean(axis=0) - n // 2) / n


def test_maps_are_single_precision_and_finite(phantom):
    for name in MAP_UNITS:
        values = getattr(phantom, name)
        assert values.shape == (141, 141)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert phantom.label.dtype == np.uint8
    assert phantom.label_names == TISSUE_NAMES


@pytest.mark.parametrize("seed", range(4))
def test_values_are_those_of_tissue(seed):
    phantom = thigh(101, seed=seed)
    tissue = phantom.pd > 0
    muscle = phantom.label >= phantom.label_names.index(f"right {next(iter(MUSCLES))}")
    inner = phantom.label == phantom.label_names.index("subcutaneous fat")
    assert 0.2 < tissue.mean() < 0.5
    assert phantom.pd.max() < 1.1
    assert phantom.ff[tissue].min() > 0
    assert phantom.ff.max() < 0.98
    assert 0.88 < np.median(phantom.ff[inner]) < 0.96
    assert phantom.ff[muscle].min() < 0.1
    assert np.percentile(phantom.ff[muscle], 95) > 0.3
    assert 1250 < np.median(phantom.t1h2o[muscle]) < 1500
    assert phantom.t1h2o.max() <= 2000
    low, high = phantom.t1fat[tissue].min(), phantom.t1fat[tissue].max()
    assert 295 < low < high <= 391
    assert np.abs(phantom.deltaf[tissue]).max() <= 100
    assert phantom.b1.min() >= 0.5
    assert phantom.b1.max() <= 1.0


def test_air_is_empty(phantom):
    air = phantom.pd == 0
    assert air[0].all()
    for name in ("ff", "t1h2o", "t1fat"):
        assert not getattr(phantom, name)[air].any()


def test_anatomy_is_in_its_place(phantom):
    """Seen from the feet: the patient's right leg in the left half of the image, anterior at the top."""
    assert set(np.unique(phantom.label)) == set(range(len(TISSUE_NAMES)))
    for side, medial in (("right", 1), ("left", -1)):
        at = {name: center_of(phantom, f"{side} {name}") for name in MUSCLES}
        x = {name: medial * position[1] for name, position in at.items()}  # grows towards the other leg
        y = {name: -position[0] for name, position in at.items()}  # grows towards the front
        assert all(value < 0 for value in x.values())
        assert max(y, key=y.get) == "rectus femoris"
        assert min(y, key=y.get) in {"semitendinosus", "biceps femoris, long head"}
        assert min(x, key=x.get) == "vastus lateralis"
        assert max(x, key=x.get) == "gracilis"
        assert x["semimembranosus"] > x["semitendinosus"] > x["biceps femoris, long head"]
        assert x["vastus medialis"] > x["vastus intermedius"] > x["vastus lateralis"]


def test_marrow_is_fatty_and_wrapped_in_dark_bone(phantom):
    marrow = phantom.label == phantom.label_names.index("bone marrow")
    cortex = phantom.label == phantom.label_names.index("cortical bone")
    assert phantom.ff[marrow].mean() > 0.8
    assert np.median(phantom.pd[cortex]) < 0.1
    neighbours = np.zeros_like(marrow)
    for axis in (0, 1):
        for step in (-1, 1):
            neighbours |= np.roll(marrow, step, axis)
    assert np.all(cortex[neighbours & ~marrow])


def test_grids_sample_the_same_body():
    """Averaging conserves protons and fat: their totals do not depend on the matrix."""
    coarse, fine = thigh(60), thigh(180)
    for total in (lambda p: p.pd, lambda p: p.pd * p.ff, lambda p: p.pd * (1 - p.ff) * p.t1h2o):
        a, b = (np.sum(total(p), dtype=float) * (350 / len(p.pd)) ** 2 for p in (coarse, fine))
        assert a == pytest.approx(b, rel=0.01)


def test_pixels_mix_the_protons_of_their_points():
    """Block means of a grid three times finer are the coarse grid: density plain, fraction weighed by density."""
    coarse, fine = thigh(40), thigh(360)

    def block(values):
        # pixel i of the coarse grid is centred on pixel 9 (i - 20) + 180 of the fine one
        shifted = np.roll(values, (4, 4), axis=(0, 1))
        return shifted.reshape(40, 9, 40, 9).mean((1, 3))

    pd = block(fine.pd)
    np.testing.assert_allclose(coarse.pd.mean(), pd.mean(), rtol=0.01)
    inside = (pd > 0.6) & (coarse.pd > 0.6)
    fat = block(fine.pd * fine.ff)[inside] / pd[inside]
    assert np.corrcoef(fat, coarse.ff[inside])[0, 1] > 0.97
    assert np.median(np.abs(fat - coarse.ff[inside])) < 0.02


def test_slices_change_smoothly_and_seeds_make_patients():
    here, near, far = (thigh(61, level=level) for level in (0.0, 0.02, 0.8))
    change = [np.mean(np.abs(other.ff - here.ff)) for other in (near, far)]
    assert 0 < change[0] < 0.3 * change[1]
    assert not np.array_equal(thigh(61, seed=1).ff, here.ff)
    np.testing.assert_array_equal(thigh(61).ff, here.ff)


@pytest.mark.parametrize("level", [-1.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_legs_stay_apart_and_in_the_field_of_view(level, seed):
    phantom = thigh(175, seed=seed, level=level)
    tissue = phantom.pd > 0
    for edge in (tissue[0], tissue[-1], tissue[:, 0], tissue[:, -1]):
        assert not edge.any()
    names = np.array(phantom.label_names)[phantom.label]
    right, left = (np.flatnonzero(np.char.startswith(names, side).any(axis=0)) for side in ("right ", "left "))
    assert right.max() < 87 < left.min()


@pytest.mark.parametrize(
    ("matrix", "fov", "level", "words"), [(0, 350, 0, "positive"), (9, 0, 0, "positive"), (9, 350, 1.5, "level")]
)
def test_impossible_phantoms_are_refused(matrix, fov, level, words):
    with pytest.raises(InputError, match=words):
        thigh(matrix, float(fov), level=level)
