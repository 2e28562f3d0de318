"""Low rank within a span: the coefficients are what the published algorithm finds with projections of frames."""

from math import sqrt

import numpy as np
import torch

from spokestream.gadgets.restoration.cartesian import CartesianSampling
from spokestream.gadgets.restoration.flor import low_rank_in_span
from spokestream.gadgets.restoration.measurement import InBasis
from spokestream.gadgets.restoration.nuclear_norm import least_nuclear_norm

FRAMES, K, MATRIX = 12, 4, 10
WEIGHT = 0.5


def published(measurement, samples, projection, weight, iterations):
    """The steps of Mazor et al.: gradient, projection, threshold of a full singular value decomposition, momentum."""
    images = ahead = torch.zeros(measurement.shape, dtype=samples.dtype)
    t = 1.0
    for _ in range(iterations):
        before = images
        stepped = ahead - measurement.adjoint(measurement.forward(ahead) - samples)
        u, s, v = torch.linalg.svd(projection @ stepped.flatten(1), full_matrices=False)
        images = ((u * (s - weight).clamp_min(0)) @ v).view(measurement.shape)
        t, last = (1 + sqrt(1 + 4 * t**2)) / 2, t
        ahead = images + (last - 1) / t * (images - before)
    return images


def scan(rng, draw, often=4):
    """A measurement of every point in `often` frames; samples of an object of rank 2 in a span; span; object."""
    measurement = CartesianSampling(torch.from_numpy(rng.random((FRAMES, MATRIX, MATRIX)).argsort(axis=0) < often))
    span = torch.linalg.qr(draw(FRAMES, K))[0]
    truth = (span @ draw(K, 2) @ draw(2, MATRIX**2)).view(FRAMES, MATRIX, MATRIX)
    return measurement, measurement.forward(truth), span, truth


def test_coefficients_are_those_of_the_published_iterations(rng, draw):
    measurement, samples, span, _ = scan(rng, draw)
    for iterations in (1, 2, 17):
        found = low_rank_in_span(measurement, samples, span, WEIGHT, iterations)
        expected = published(measurement, samples, span @ span.mH, WEIGHT, iterations)
        torch.testing.assert_close(InBasis(measurement, span).expand(found), expected)


def test_the_span_alone_finds_an_object_that_low_rank_alone_does_not(rng, draw):
    """Every point has 7 samples, for 4 unknown coefficients in the span, or 12 unknown frames."""
    measurement, samples, span, truth = scan(rng, draw, often=7)
    inside = InBasis(measurement, span).expand(low_rank_in_span(measurement, samples, span, 0.0, 3000))
    outside = least_nuclear_norm(measurement, samples, 0.0, 1000)
    norm = torch.linalg.vector_norm(truth)
    assert torch.linalg.vector_norm(inside - truth) < 1e-6 * norm
    assert torch.linalg.vector_norm(outside - truth) > 0.5 * norm


def test_the_cost_is_the_one_in_the_text(rng, draw):
    measurement, samples, span, _ = scan(rng, draw)
    costs = []
    found = low_rank_in_span(measurement, samples, span, WEIGHT, 9, lambda n, cost: costs.append(cost))
    misfit = torch.linalg.vector_norm(InBasis(measurement, span).forward(found) - samples) ** 2
    nuclear = torch.linalg.svdvals(found.flatten(1)).sum()
    np.testing.assert_allclose(costs[-1], float(misfit / 2 + WEIGHT * nuclear), rtol=1e-9)
