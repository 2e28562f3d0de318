"""FLOR: low rank within the span of the dictionary (Mazor et al., Med Phys 2018;45:4066).

The paper projects the frames of every iteration onto the span. Here the unknowns are the coefficients of an orthonormal
basis of the span. The iterates are the same, because such a basis changes neither inner products nor singular values,
but there are fewer images.
"""

from torch import Tensor

from spokestream.gadgets.restoration.measurement import InBasis, Measurement, OnIteration, ignore
from spokestream.gadgets.restoration.nuclear_norm import least_nuclear_norm

__all__ = ["low_rank_in_span"]


def low_rank_in_span(
    measurement: Measurement,
    samples: Tensor,
    span: Tensor,
    weight: float,
    iterations: int,
    on_iteration: OnIteration = ignore,
) -> Tensor:
    """The coefficients (K, y, x) in the span after some iterations from zero; `InBasis.expand` makes frames of them.

    Args:
        measurement: the map from frames to samples.
        samples: what was measured.
        span: (frames, K) orthonormal basis of the signals of the dictionary, as `leading_vectors` makes it.
        weight: of the nuclear norm, in units of the singular values of the images.
        iterations: 1 or more, accelerated as in the paper; see `least_nuclear_norm`.
        on_iteration: receives the cost.

    """
    inside = InBasis(measurement, span)
    return least_nuclear_norm(inside, samples, weight, iterations, on_iteration, accelerated=True)
