"""The scale on which networks give a parameter: 0..1 over its range, linear or logarithmic."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Scale"]


@dataclass(frozen=True)
class Scale:
    """The physical values that correspond to 0 and 1, and what lies between.

    On a logarithmic scale equal steps are equal ratios. It is right for relaxation times, whose ranges span decades:
    an error of 10 ms matters in white matter and not in fluid.
    """

    low: float
    high: float
    logarithmic: bool = False

    def to_unit(self, values: Tensor) -> Tensor:
        """Values on the scale; outside the range they are below 0 or above 1, and 0 is -inf on a logarithmic scale."""
        if self.logarithmic:
            return (values / self.low).log() / math.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)

    def from_unit(self, unit: NDArray[Any]) -> NDArray[Any]:
        """Physical values of numbers on the scale."""
        if self.logarithmic:
            return np.asarray(self.low * np.exp(math.log(self.high / self.low) * unit))
        return self.low + (self.high - self.low) * unit

    def std_from_unit(self, std: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
        """Physical standard deviations of values; to first order where the scale is logarithmic."""
        if self.logarithmic:
            return np.asarray(math.log(self.high / self.low) * values * std)
        return (self.high - self.low) * std
