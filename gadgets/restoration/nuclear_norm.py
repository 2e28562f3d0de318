"""Images of all frames with a small nuclear norm, by proximal gradient steps (Song et al., IEEE ICASSP 2019:1040).

The method minimises 1/2 sum over frames |A_t x_t - y_t|² + weight |X|_*, with the frames x_t as rows of the matrix X.
The paper calls it an incremental subgradient proximal method, which makes a gradient step for one term of the sum after
the other, and then the proximal step of the nuclear norm. Every term has a frame of its own. All its steps together are
therefore one gradient step, and the method is the usual proximal gradient.

The paper prints the sum without the factor 1/2. Its step of 1 reaches a minimum only with it: the eigenvalues of a
sampled orthonormal transform are 0 and 1, and a step must be below 2 divided by the largest eigenvalue of the gradient.

The acceleration is that of Beck and Teboulle, SIAM J Imaging Sci 2009;2:183.
"""

from math import sqrt

from torch import Tensor

from spokestream.gadgets.restoration.measurement import Measurement, OnIteration, half_energy, ignore
from spokestream.gadgets.restoration.singular_values import soft_threshold

__all__ = ["least_nuclear_norm"]


def least_nuclear_norm(
    measurement: Measurement,
    samples: Tensor,
    weight: float,
    iterations: int,
    on_iteration: OnIteration = ignore,
    accelerated: bool = False,
) -> Tensor:
    """The images (images, y, x) after some iterations from zero.

    After n iterations, the cost is at most L |x*|² / 2n above its minimum, where L is `Measurement.largest_eigenvalue`
    and x* are the images at the minimum; accelerated, 2 L |x*|² / (n + 1)². It falls in every iteration if the method
    is not accelerated, and may rise for a while if it is.

    Args:
        measurement: the map from images to samples.
        samples: what was measured.
        weight: of the nuclear norm, in units of the singular values of the images.
        iterations: 1 or more. The step is 1 / L, which is 1 for Cartesian sampling, as in the paper.
        on_iteration: receives the cost.
        accelerated: whether a step starts from the images, as in the paper, or from where their last change leads.

    """
    step = 1 / measurement.largest_eigenvalue
    images = ahead = 0 * measurement.adjoint(samples)
    residual = residual_ahead = -samples
    momentum = 1.0
    for iteration in range(1, iterations + 1):
        before, residual_before = images, residual
        images, norm = soft_threshold(ahead - step * measurement.adjoint(residual_ahead), step * weight)
        residual = measurement.forward(images) - samples
        on_iteration(iteration, half_energy(residual) + weight * norm)
        next_momentum = (1 + sqrt(1 + 4 * momentum**2)) / 2
        pace = (momentum - 1) / next_momentum if accelerated else 0.0
        momentum = next_momentum
        ahead = images + pace * (images - before)
        residual_ahead = residual + pace * (residual - residual_before)
    return images
