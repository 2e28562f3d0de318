import numpy as np
import pytest
from cmap import Colormap

from spokestream.simulator.physics.colour_scales import colour_map, colour_scale, scale_ticks
from spokestream.simulator.physics.quantities import QUANTITIES


@pytest.mark.parametrize(("name", "colours"), [("t1h2o", "lipari"), ("t1fat", "lipari"), ("t2h2o", "navia")])
def test_relaxation_times_have_the_colours_of_the_guideline_on_a_logarithmic_scale(name, colours):
    quantity = QUANTITIES[name]
    low, high = quantity.low, quantity.high
    scale, shown = colour_scale(quantity, low, high), colour_map(quantity.colours)
    assert [float(scale(v)) for v in (low, np.sqrt(low * high), high)] == pytest.approx([0, 0.5, 1])
    wanted = Colormap(f"crameri:{colours}").to_matplotlib()
    np.testing.assert_array_equal(shown(np.linspace(0, 1, 256)), wanted(np.linspace(0, 1, 256)))
    assert shown(np.nan) == (0, 0, 0, 1)


@pytest.mark.parametrize("quantity", QUANTITIES.values(), ids=lambda quantity: quantity.name)
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
