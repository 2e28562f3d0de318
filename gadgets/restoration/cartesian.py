"""Few points of a Cartesian grid in every frame, one coil: the simulated scans of the papers on low rank.

Mazor et al., Med Phys 2018;45:4066; Song et al., IEEE ICASSP 2019:1040.
"""

import torch
from torch import Tensor

__all__ = ["CartesianSampling"]


class CartesianSampling:
    """The orthonormal 2-D Fourier transform of every frame, at the points of a mask.

    Args:
        mask: (frames, y, x) bool, the points that are sampled; k = 0 is at y // 2, x // 2.

    """

    def __init__(self, mask: Tensor) -> None:
        self.shape = (mask.shape[0], mask.shape[1], mask.shape[2])
        self.largest_eigenvalue = 1.0
        self._mask: Tensor = torch.fft.ifftshift(mask, (1, 2))

    @property
    def undersampling(self) -> float:
        """The number of points of the grid for each sample."""
        return self._mask.numel() / int(self._mask.sum())

    def forward(self, images: Tensor) -> Tensor:
        """The samples (samples,) of images (frames, y, x)."""
        grid: Tensor = torch.fft.fft2(torch.fft.ifftshift(images, (1, 2)), norm="ortho")
        return grid[self._mask]

    def adjoint(self, samples: Tensor) -> Tensor:
        """The images (frames, y, x) whose transform is the samples, and 0 at all other points."""
        grid = torch.zeros(self.shape, dtype=samples.dtype)
        grid[self._mask] = samples
        images: Tensor = torch.fft.fftshift(torch.fft.ifft2(grid, norm="ortho"), (1, 2))
        return images
