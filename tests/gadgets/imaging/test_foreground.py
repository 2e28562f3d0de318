import numpy as np
from small_scan import complex_normal

from spokestream.gadgets.imaging.foreground import foreground


def test_tissue_is_kept_through_shading_and_air_and_bone_are_not(rng):
    """A disc with noise, ten times darker in the centre than at the rim, which contains a dark ring."""
    y, x = np.mgrid[-1:1:121j, -1:1:111j]
    radius = np.hypot(x, y)
    body = (radius < 0.7) & ~((radius > 0.2) & (radius < 0.28))
    shading = 0.1 + 1.9 * radius**2
    contrast = complex_normal(rng, 2, 9)
    pattern = np.stack([np.cos(3 * x), np.sin(2 * y) + 1])
    images = np.einsum("ck,cyx->kyx", contrast, pattern) * shading * body
    images = (images + 0.01 * complex_normal(rng, 9, *body.shape)).astype(np.complex64)
    mask = foreground(images)
    edge = np.abs(radius - 0.7) < 0.04
    edge |= (np.abs(radius - 0.2) < 0.04) | (np.abs(radius - 0.28) < 0.04)
    assert (mask == body)[~edge].mean() > 0.995


def test_tissue_that_the_edge_of_the_field_of_view_cuts_is_kept_up_to_the_edge(rng):
    y, x = np.mgrid[-1:1:61j, -1:1:71j]
    body = (x + 0.7) ** 2 + (y - 0.5) ** 2 < 0.9**2
    images = (body + 0.01 * complex_normal(rng, 4, *body.shape)).astype(np.complex64)
    mask = foreground(images)
    edge = np.ones(body.shape, bool)
    edge[1:-1, 1:-1] = False
    assert body[edge].sum() > 60
    assert (mask == body)[edge].mean() > 0.98
    assert (mask == body).mean() > 0.995
