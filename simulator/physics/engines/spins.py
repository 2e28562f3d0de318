"""The tissue parameters that all engines use."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Spins"]


@dataclass(frozen=True)
class Spins:
    """Atoms of a dictionary or voxels: four real tensors (atoms,) of one dtype, on one device."""

    t1_ms: Tensor
    t2_ms: Tensor
    b1: Tensor
    deltaf_hz: Tensor

    def __len__(self) -> int:
        return len(self.t1_ms)

    def __getitem__(self, atoms: Tensor) -> "Spins":
        return Spins(self.t1_ms[atoms], self.t2_ms[atoms], self.b1[atoms], self.deltaf_hz[atoms])

    def repeated(self, times: int) -> "Spins":
        """Every atom repeated this many times, one copy after the other."""
        return Spins(*(x.repeat_interleave(times) for x in (self.t1_ms, self.t2_ms, self.b1, self.deltaf_hz)))

    def across(self, profile: Tensor) -> "Spins":
        """Every atom repeated for each sub-slice, with the flip angle of the sub-slice."""
        part = self.repeated(len(profile))
        return replace(part, b1=part.b1 * profile.repeat(len(self)))

    @property
    def requires_grad(self) -> bool:
        """Whether derivatives with respect to the tissue will be computed."""
        fields = (self.t1_ms, self.t2_ms, self.b1, self.deltaf_hz)
        return torch.is_grad_enabled() and any(x.requires_grad for x in fields)
