"""A tissue model that is not ours: one pool with one relaxation time, and B1. All that is needed to add a model.

Its quantity is declared here; a real model does so with `declare` when it is imported.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spokestream.errors import FileError
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.quantities import QUANTITIES, Quantity, Spread, Where
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import pool_signal
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.pool_polynomials import PoolPolynomials
from spokestream.simulator.physics.tissue_models.registry import TISSUE_MODELS
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, Region, TissueModel

T2_MS = 60.0
T1 = Quantity(
    "toy_t1", "Toy T1", "ms", 901, 200, 3000, 1, 0, "T1", "viridis", symbol="T1",
    where=Where("b1", above=0.2), spread=Spread(902, 300, 1),
)  # fmt: skip


class OnePool(TissueModel):
    """T1 and B1 of tissue without fat."""

    name = "toy"
    title = "one pool"
    parameters = (Parameter("toy_t1", 0, 3000, by_logarithm=True), Parameter("b1", 0, 1.5))
    regions = (Region("short T1", Where("toy_t1", below=1000)), Region("long T1", Where("toy_t1", above=1000)))

    def refusal(self, sequence: PulseSequence) -> str | None:
        return None if sequence.inversion else "The sequence has no inversion, which encodes T1."

    def dictionary(self, sequence: PulseSequence, field_t: float | None = None) -> OnePoolDictionary:
        t1_ms, b1 = (x.ravel() for x in np.meshgrid(np.arange(400.0, 2001, 100), [0.6, 0.8, 1.0], indexing="ij"))
        return OnePoolDictionary(sequence, {"toy_t1": t1_ms, "b1": b1}, pool_signal(sequence, t1_ms, b1, T2_MS))

    def load_dictionary(self, path: Path) -> OnePoolDictionary:
        raise FileError(f"{path} is no file of the toy model.")

    def closed_form(
        self, sequence: PulseSequence, basis: TemporalBasis, field_t: float | None = None
    ) -> "OnePoolSignal":
        return OnePoolSignal(self, sequence, basis)


class OnePoolSignal:
    """The closed form; off-resonance is taken as zero."""

    def __init__(self, model: TissueModel, sequence: PulseSequence, basis: TemporalBasis) -> None:
        self.model, self.sequence, self.basis = model, sequence, basis
        self._pool = PoolPolynomials(sequence, basis, T2_MS)

    def through(self, basis: TemporalBasis) -> "OnePoolSignal":
        return OnePoolSignal(self.model, self.sequence, basis)

    def at(self, *parameters: Tensor, efficiency: float = 1.0, by_efficiency: bool = False) -> tuple[Tensor, Tensor]:
        t1_ms, b1 = parameters
        parts = self._pool.at(t1_ms, b1, efficiency, by_efficiency)
        signal, *derivatives = (part.to(torch.complex64) for part in parts)
        return signal, torch.stack(derivatives, dim=1)


TOY = OnePool()


def add_toy_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the quantity and register the model, for the length of a test."""
    for quantity in (T1, T1.standard_deviation):
        assert quantity is not None
        monkeypatch.setitem(QUANTITIES, quantity.name, quantity)
    monkeypatch.setitem(TISSUE_MODELS, TOY.name, TOY)
