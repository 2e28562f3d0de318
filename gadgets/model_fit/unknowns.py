"""The unknowns of a fit: the parameters of a tissue model on scales on which all of them are of the order of 1."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, TissueModel

__all__ = ["Unknowns"]

PART_OF_RANGE = 0.25
"""The unit of an unknown, as a part of the range of its parameter. It is also the standard deviation with which a fit
is drawn to first maps that have none of their own; a parameter of which the signal says nothing keeps it."""
LEAST_RATIO = 0.02
"""Smallest relaxation time that a fit may give, relative to the largest one of a range that begins at 0."""


class Unknowns:
    """The scales and bounds of the unknowns of a tissue model; relaxation times enter by their logarithm.

    Args:
        model: the tissue model.
        limits: name of a parameter -> lowest and highest value; without them, those of the parameter.

    """

    def __init__(self, model: TissueModel, limits: Mapping[str, tuple[float, float]]) -> None:
        parameters = model.parameters
        self._logarithm = [p.by_logarithm for p in parameters]
        self.units = torch.tensor([_unit(p) for p in parameters])
        """(parameters,) the unit of each unknown: of the parameter, or of its logarithm."""
        self.spans = [limits.get(p.name, (_lowest(p), p.high)) for p in parameters]
        """The lowest and the highest value of each parameter."""
        self._low, self._high = torch.tensor(self.spans, dtype=torch.float32).T
        self.usual = self._scaled(torch.tensor([[_usual(p) for p in parameters]]))[0]
        """(parameters,) the unknowns of usual tissue."""
        self._least, self._most = self._scaled(self._low[None])[0], self._scaled(self._high[None])[0]

    def of(self, parameters: list[Tensor]) -> Tensor:
        """The unknowns (voxels, n) of parameters (voxels,) each."""
        return self._scaled(torch.stack(parameters, 1).clamp(self._low, self._high))

    def parameters(self, unknowns: Tensor) -> list[Tensor]:
        """The parameters (voxels,) each, within their bounds; a bound comes back exactly."""
        values = [unit * column for unit, column in zip(self.units, unknowns.T, strict=True)]
        found = torch.stack([v.exp() if log else v for v, log in zip(values, self._logarithm, strict=True)], 1)
        found = torch.where(unknowns >= self._most, self._high, found.clamp(self._low, self._high))
        return list(torch.where(unknowns <= self._least, self._low, found).T)

    def bounded(self, unknowns: Tensor) -> Tensor:
        """The unknowns within the bounds of the parameters."""
        return self.of(self.parameters(unknowns))

    def std(self, std: Tensor, parameters: list[Tensor]) -> list[Tensor]:
        """Standard deviations of the parameters (voxels,) each, from those of the unknowns (voxels, n)."""
        columns = zip(std.T, self.units, self._logarithm, parameters, strict=True)
        return [column * unit * value if log else column * unit for column, unit, log, value in columns]

    def of_std(self, std: list[Tensor], parameters: list[Tensor]) -> Tensor:
        """Standard deviations of the unknowns (voxels, n), from those of the parameters."""
        columns = zip(std, self.units, self._logarithm, parameters, strict=True)
        return torch.stack([s / (unit * value) if log else s / unit for s, unit, log, value in columns], 1)

    def _scaled(self, parameters: Tensor) -> Tensor:
        columns = zip(parameters.T, self._logarithm, self.units, strict=True)
        return torch.stack([(value.log() if log else value) / unit for value, log, unit in columns], 1)


def _lowest(parameter: Parameter) -> float:
    if parameter.by_logarithm and not parameter.low:
        return LEAST_RATIO * parameter.high
    return parameter.low


def _unit(parameter: Parameter) -> float:
    """A part of the parameter's range; of its logarithm if that is the unknown, at the usual value of the parameter."""
    low, high = parameter.low, parameter.high
    if not parameter.by_logarithm:
        return PART_OF_RANGE * (high - low)
    if parameter.logarithmic:
        return PART_OF_RANGE * math.log(high / low)
    return PART_OF_RANGE * (high - low) / _usual(parameter)


def _usual(parameter: Parameter) -> float:
    """The usual value of a parameter, or the middle of its range."""
    if parameter.usual is not None:
        return parameter.usual
    low, high = parameter.low, parameter.high
    return math.sqrt(low * high) if parameter.logarithmic else (low + high) / 2
