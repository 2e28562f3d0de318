"""The soft threshold of singular values: the proximal operator of the nuclear norm (Cai et al., SIAM J Optim 2010)."""

import torch
from torch import Tensor

__all__ = ["soft_threshold"]


def soft_threshold(images: Tensor, threshold: float) -> tuple[Tensor, float]:
    """Subtract a threshold from all singular values of the matrix of images and pixels; smaller ones become 0.

    The result Z minimises 1/2 |Z - X|² + threshold |Z|_*. The singular values are square roots of the eigenvalues of
    the small matrix X X^H, because there are few images and many pixels. It is computed in double precision, so that
    singular values above about 1e-7 of the largest are found; smaller ones are rounding errors.

    Args:
        images: (images, y, x) complex.
        threshold: 0 or more, in units of the singular values.

    Returns:
        (images, y, x), and its nuclear norm.

    """
    rows = images.flatten(1)
    exact = rows.to(torch.complex128)
    energy, vectors = torch.linalg.eigh(exact @ exact.mH)
    singular = energy.clamp_min(0).sqrt()
    left = (singular - threshold).clamp_min(0)
    shrinkage = left / singular.clamp_min(torch.finfo(torch.float64).tiny)
    operator = (vectors * shrinkage) @ vectors.mH
    return (operator.to(images.dtype) @ rows).view(images.shape), float(left.sum())
