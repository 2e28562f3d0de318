import numpy as np
import pytest
from cmap import Colormap
from matplotlib.colors import to_rgb

from spokestream.simulator.physics.colour_scales import TRUST, colour_map, colour_scale, scale_ticks
from spokestream.simulator.physics.quantities import AT_LIMIT, MISFIT, QUANTITIES


@pytest.mark.parametrize(("name", "colours"), [("t1h2o", "lipari"), ("t1fat", "lipari"), ("t2h2o", "navia")])
def test_relaxation_times_have_the_colours_of_the_guideline_on_a_logarithmic_scale(name, colours):
    quantity = QUANTITIES[name]
    low, high = quantity.low, quantity.high
    scale, shown = colour_scale(quantity, low, high), colour_map(quantity.colours)
    assert [float(scale(v)) for v in (low, np.sqrt(low * high), high)] == pytest.approx([0, 0.5, 1])
    wanted = Colormap(f"crameri:{colours}").to_matplotlib()
    np.testing.assert_array_equal(shown(np.linspace(0, 1, 256)), wanted(np.linspace(0, 1, 256)))
    assert shown(np.nan) == (0, 0, 0, 1)


ON_A_SCALE = [quantity for quantity in QUANTITIES.values() if quantity.codes is None]


def test_every_code_of_the_map_of_trust_has_a_colour_of_its_own():
    """Those of T1 and T2 may be those of water T1: no tissue model has both."""
    quantity = QUANTITIES["trust"]
    scale, shown = colour_scale(quantity, quantity.low, quantity.high), colour_map(quantity.colours)
    codes = [code for code in quantity.codes if abs(code) not in (16, 17)]
    assert set(range(-5, 6)) | {MISFIT, AT_LIMIT} <= set(codes)
    assert len({shown(float(scale(code))) for code in codes if code in TRUST}) == len(TRUST) - 4
    assert all(shown(float(scale(code)))[:3] == pytest.approx(to_rgb(TRUST[code])) for code in TRUST)


@pytest.mark.parametrize("quantity", ON_A_SCALE, ids=lambda quantity: quantity.name)
def test_every_quantity_has_colours_that_change_along_its_scale_and_round_ticks(quantity):
    colours = colour_map(quantity.colours)(np.linspace(0, 1, 5))
    assert len({tuple(colour) for colour in colours.tolist()}) >= 4  # the ends of a cyclic map are equal
    high = quantity.high or 7.3
    ticks = scale_ticks(colour_scale(quantity, quantity.low, high))
    assert 2 <= len(ticks) <= 6
    assert all(quantity.low <= tick <= high for tick in ticks)
    assert all(float(f"{tick:.3g}") == pytest.approx(tick) for tick in ticks)


def test_standard_deviations_are_linear():
    assert not QUANTITIES["t1h2o_std"].logarithmic
    assert QUANTITIES["t1h2o_std"].is_check
    assert not QUANTITIES["t1h2o"].is_check
