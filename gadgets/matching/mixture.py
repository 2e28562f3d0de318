"""The best mixture of one water and one fat atom, in closed form; see `two_pools` for the model."""

import torch
from torch import Tensor

__all__ = ["mixture_energy", "mixture_fraction", "power"]


def mixture_energy(cw: Tensor, cf: Tensor, ww: Tensor, ff: Tensor, wf: Tensor) -> Tensor:
    """The energy that the best non-negative mixture of two atoms explains, with one common phase.

    Args:
        cw: inner products of the data with the water atom, complex.
        cf: inner products of the data with the fat atom, complex.
        ww: squared norm of the water atom.
        ff: squared norm of the fat atom.
        wf: real part of the inner product of the two.

    """
    m11, m22, r = power(cw), power(cf), cw.real * cf.real + cw.imag * cf.imag
    both = _larger_eigenvalue(m11, m22, r, ww, ff, wf)
    inside = (r - both * wf) * (both * ww - m11) > 0
    return torch.where(inside, both, torch.maximum(m11 / ww, m22 / ff))


def mixture_fraction(cw: Tensor, cf: Tensor, ww: Tensor, ff: Tensor, wf: Tensor) -> Tensor:
    """The fat fraction, 0..1, of the mixture that explains most energy; arguments as for `mixture_energy`."""
    m11, m22, r = power(cw), power(cf), cw.real * cf.real + cw.imag * cf.imag
    both = _larger_eigenvalue(m11, m22, r, ww, ff, wf)
    water, fat = r - both * wf, both * ww - m11  # the eigenvector
    alone = (m22 / ff > m11 / ww).to(ww.dtype)
    return torch.where(water * fat > 0, fat / (water + fat), alone)


def _larger_eigenvalue(m11: Tensor, m22: Tensor, r: Tensor, ww: Tensor, ff: Tensor, wf: Tensor) -> Tensor:
    """The larger generalised eigenvalue of [[m11, r], [r, m22]] over [[ww, wf], [wf, ff]]."""
    gram = ww * ff - wf * wf
    half_trace = (m11 * ff + m22 * ww) * 0.5 - r * wf
    return (half_trace + (half_trace * half_trace - gram * (m11 * m22 - r * r)).clamp_(min=0).sqrt_()) / gram


def power(x: Tensor) -> Tensor:
    """The squared absolute value."""
    return x.real.square() + x.imag.square()
