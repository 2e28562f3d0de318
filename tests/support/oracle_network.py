"""A network that knows the true maps, for tests of what the node gives to a network."""

import numpy as np
import torch
from numpy.typing import NDArray


class Oracle(torch.nn.Module):
    """Gives the true maps, and the inversion efficiency that it got as one more plane.

    Args:
        maps: (planes, y, x) the maps in units of their ranges.

    """

    def __init__(self, maps: NDArray[np.floating]) -> None:
        super().__init__()
        self.maps = torch.from_numpy(np.float32(maps))

    @torch.jit.export
    def normalise(self, coefficients: torch.Tensor, foreground: torch.Tensor, efficiency: float) -> torch.Tensor:
        """The planes, and the efficiency everywhere."""
        # the pixels may come as one row
        maps = self.maps.reshape(self.maps.shape[0], coefficients.shape[1], coefficients.shape[2])
        return torch.cat((maps, torch.full_like(maps[:1], efficiency)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The planes as they are."""
        return x
