"""The fast way to gridded images: a trajectory acts on every term of the signal as a convolution.

Sampling an image along spokes and gridding the samples convolves the image with a point spread function. In a temporal
basis there is one function for every pair of a coefficient and a term of the signal (`signal_expansion.py`). They are
equal for all phantoms and coils. Once they are known, a slice needs only FFTs and products on a Cartesian grid, and no
k-space (Toeplitz embedding: Fessler et al. 2005; in a temporal subspace: Tamir et al. 2017).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import finufft
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.simulator.acquisition.sampling import Sampling
from spokestream.simulator.expansion.signal_expansion import EchoTerms

__all__ = ["PointSpread"]

Real = NDArray[np.float64]
Complex = NDArray[np.complex64]

NUFFT_TOLERANCE = 3e-5
BATCH = 8
"""Point spread functions that are transformed together."""
COILS = 4
"""Coils whose spectra are in memory at once."""
ROWS = 16
"""Rows of k-space whose products are computed together, so that the terms of all coils stay in the caches."""


class PointSpread:
    """Computes the gridded coefficient images of every coil from the term images of a slice.

    Args:
        readout: sample positions of every spoke.
        terms: terms of the signal, for each echo time; trains must be real.
        weights: (spokes, K) real. Coefficient k is the sum over spokes of weights[s, k] times the image of spoke s,
            whose samples are weighted by the density of the readout.
        matrix: (y, x) pixels of the field of view; k is in cycles over this field of view.
        box: (y, x) pixels of the part that holds all tissue, and of the images. Its position does not matter for a
            convolution. None takes the whole matrix.
        progress: called with the fraction of the work that has just been done; the fractions add up to 1.

    Raises ValueError, a programming error, for complex trains and for weights that mix echo times in one coefficient.

    """

    def __init__(
        self,
        readout: Sampling,
        terms: list[EchoTerms],
        weights: Real,
        matrix: tuple[int, int],
        box: tuple[int, int] | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> None:
        if any(np.iscomplexobj(group.trains) for group in terms):
            raise ValueError("Point spread functions are made for real trains: ideal spoiling, constant RF phase.")
        self.box = box or matrix
        self.n_images = weights.shape[1]
        used = [np.flatnonzero(np.any(weights[group.spokes], axis=0)) for group in terms]
        if len(np.unique(np.concatenate(used))) != sum(len(k) for k in used):
            raise ValueError("A coefficient mixes spokes of several echo times.")
        self._transfer: list[tuple[list[int], Tensor]] = []
        work = sum(len(k) * len(group.pairs) for k, group in zip(used, terms, strict=True))
        for k, group in zip(used, terms, strict=True):
            along_readout = readout.density * group.evolutions
            strengths = (
                np.outer(weights[group.spokes, image] * group.trains[train], along_readout[evolution])
                for image in k
                for train, evolution in group.pairs
            )
            transfer = _transfer(readout.k[group.spokes], strengths, len(k) * len(group.pairs), matrix, self.box)
            # (k-space y, x, K, terms): the products of one place in k-space lie together
            by_pair = transfer.reshape(len(k), len(group.pairs), *transfer.shape[1:])
            shaped = by_pair.permute(2, 3, 0, 1).contiguous()
            self._transfer.append((k.tolist(), shaped))
            if progress:
                progress(len(k) * len(group.pairs) / work)
        # kept from slice to slice, because allocating this much memory costs as much as the transforms
        size = self._transfer[0][1].shape[:2]
        self._spectra = torch.empty((max(len(g.pairs) for g in terms), COILS, *size), dtype=torch.complex64)
        self._gridded = torch.empty((max(len(k) for k in used), COILS, *size), dtype=torch.complex64)

    def images(self, terms: Sequence[Complex], tissue: NDArray[np.bool_], sensitivities: Complex) -> Tensor:
        """The gridded coefficient images of every coil, before coil combination.

        Args:
            terms: (terms, voxels) values in tissue, for each echo time, from `signal_expansion.expand`.
            tissue: (y, x) mask of the voxels in the box.
            sensitivities: (coils, y, x) in the box.

        Returns:
            (K, coils, y, x) complex64 in the box, with the scale of the phantom.

        Raises ValueError, a programming error, when an array does not have the size of the box.

        """
        ny, nx = self.box
        if tissue.shape != self.box or sensitivities.shape[1:] != self.box:
            raise ValueError(f"Tissue {tissue.shape} and sensitivities {sensitivities.shape} do not fit {self.box}.")
        coils = torch.from_numpy(sensitivities)
        out = torch.zeros((self.n_images, len(coils), ny, nx), dtype=torch.complex64)
        place = torch.from_numpy(tissue)
        for (k, transfer), values in zip(self._transfer, terms, strict=True):
            image = torch.zeros((len(values), ny, nx), dtype=torch.complex64)
            image[:, place] = torch.from_numpy(values.astype(np.complex64))
            for first in range(0, len(coils), COILS):
                some = coils[first : first + COILS]
                spectra = self._spectra[: len(image), : len(some)]
                for term, spectrum in zip(image, spectra, strict=True):
                    torch.fft.fft2(some * term, s=spectrum.shape[1:], out=spectrum)
                gridded = self._gridded[: len(k), : len(some)]
                for row in range(0, spectra.shape[2], ROWS):
                    rows = slice(row, row + ROWS)
                    gridded[:, :, rows] = _products(transfer[rows], spectra[:, :, rows])
                for index, spectrum in zip(k, gridded, strict=True):
                    columns = torch.fft.ifft(spectrum, dim=-2)[:, :ny]
                    out[index, first : first + COILS] = torch.fft.ifft(columns, dim=-1)[..., :nx]
        return out


def _products(transfer: Tensor, spectra: Tensor) -> Tensor:
    """The sum over terms of transfer (y, x, K, terms), real, times spectra (terms, coils, y, x): (K, coils, y, x)."""
    terms, coils, ny, nx = spectra.shape
    by_place = torch.view_as_real(spectra.permute(2, 3, 0, 1).contiguous()).reshape(ny * nx, terms, 2 * coils)
    product = torch.bmm(transfer.reshape(ny * nx, -1, terms), by_place)
    return torch.view_as_complex(product.reshape(ny, nx, -1, coils, 2)).permute(2, 3, 0, 1)


def _transfer(k: Real, strengths: Iterator[Real], count: int, matrix: tuple[int, int], box: tuple[int, int]) -> Tensor:
    """Spectra (count, y, x) of point spread functions, real and on a grid that holds every pair of pixels.

    The point spread function of real strengths is Hermitian, p(-r) = p(r)*, so that its spectrum is real, and two
    spectra can be computed with one transform.
    """
    ny, nx = box
    size = _fast_size(ny), _fast_size(nx)
    points = [
        (2 * np.pi / n * component).astype(np.float32)
        for n, component in zip(matrix, (k[..., 1].ravel(), k[..., 0].ravel()), strict=True)
    ]
    plan = finufft.Plan(
        1, (2 * ny, 2 * nx), BATCH, NUFFT_TOLERANCE, 1,
        dtype="complex64", nthreads=torch.get_num_threads(), upsampfac=1.25,
    )  # fmt: skip
    plan.setpts(*points)
    out = torch.empty((count, *size))
    padded = torch.zeros((BATCH, *size), dtype=torch.complex64)
    rows, columns = (np.arange(1 - n, n) for n in box)  # the differences between two pixels
    done = 0
    while batch := list(islice(strengths, 2 * BATCH)):
        real = np.zeros((2 * BATCH, k.shape[0] * k.shape[1]), np.float32)
        for strength, row in zip(batch, real, strict=False):
            row[:] = strength.ravel()
        spread = plan.execute(real[0::2] + 1j * real[1::2])
        padded[:, torch.from_numpy(rows % size[0])[:, None], torch.from_numpy(columns % size[1])] = torch.from_numpy(
            spread[:, 1:, 1:]
        )
        spectra = torch.fft.fft2(padded)
        pairs = torch.stack([spectra.real, spectra.imag], dim=1).flatten(0, 1) / (matrix[0] * matrix[1])
        out[done : done + len(batch)] = pairs[: len(batch)]
        done += len(batch)
    return out


def _fast_size(n: int) -> int:
    """The size of an FFT that holds all differences between n pixels.

    Multiples of 16 without large prime factors are fastest.
    """
    size = -(-(2 * n - 1) // 16)
    while not _is_smooth(size):
        size += 1
    return 16 * size


def _is_smooth(n: int) -> bool:
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n == 1
