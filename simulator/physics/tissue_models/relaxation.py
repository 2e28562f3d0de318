"""T1 and T2 of one pool: the tissue model of gradient-spoiled MR fingerprinting (Jiang et al., MRM 2015;74:1621).

The signal of a voxel at spoke j is rho exp(i phase) s_j(T1, T2), where s is the signal of extended phase graphs. Its
flip angles are taken as nominal, and off-resonance only changes the phase of the voxel, because the echo times are
equal.
"""

import math
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebpts1, chebvander
from numpy.typing import NDArray
from torch import Tensor

from spokestream.errors import FileError
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.dictionaries.t1t2 import load_t1t2_dictionary
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.quantities import Where
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.chebyshev import chebyshev_values, derivative, from_unit
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, Region, TissueModel

__all__ = ["RELAXATION", "Relaxation", "RelaxationSignal"]

T1_RANGE_MS = (100.0, 5000.0)
T2_RANGE_MS = (5.0, 2500.0)
PURE = Where("t1", above=0)
"""The voxels that have one T1 and one T2; see `Relaxation.truth`."""
NODES = 24
"""Number of Chebyshev nodes along log T1 and along log T2: errors are those of the phase graphs, 1e-4 or less."""
STEP = 0.025
"""Relative distance of neighbouring values of the dictionary."""
BLOCK = 4096
"""Number of atoms that are computed together."""
LEAST_ENERGY = 0.999
"""Fraction of the energy that a compressed dictionary must keep. With 7 vectors (0.999) of 1,000 spokes, T2 differs by
2 % from that of all vectors (root mean square of tissue and fluid); with 4 vectors (0.99) by 22 %."""
POOR_INVERSION = 0.9
"""Efficiency at which the signal is computed in addition to 1, for its derivative by the efficiency."""


class Relaxation(TissueModel):
    """T1 and T2."""

    name = "relaxation"
    title = "T1 and T2"
    parameters = (
        Parameter("t1", *T1_RANGE_MS, logarithmic=True, compared=PURE, by_logarithm=True),
        Parameter("t2", *T2_RANGE_MS, logarithmic=True, compared=PURE, by_logarithm=True),
    )
    regions = (Region("tissue", Where("t1", above=0, below=2500)), Region("fluid", Where("t1", above=2500)))
    nominal_flip_angles = True

    def refusal(self, sequence: PulseSequence) -> str | None:
        """T2 is encoded by magnetisation that pulses refocus, which ideal spoiling destroys."""
        if sequence.spoiling != "gradient":
            return (
                f"T1 and T2 are mapped with gradient-spoiled trains; the spoiling of '{sequence.name}' is "
                f"{sequence.spoiling}."
            )
        if len(sequence.echo_times_ms) > 1:
            return f"T1 and T2 are mapped with one echo time; '{sequence.name}' has {len(sequence.echo_times_ms)}."
        if np.ptp(np.round(2 * sequence.rf_phase_deg / 360 % 1, 9) % 1) > 0:
            return f"T1 and T2 are mapped with real signals; the phases of the pulses of '{sequence.name}' are not."
        return None

    def truth(self, voxels: Mapping[str, Any]) -> dict[str, Any]:
        """T1 and T2 of water. Where there is fat, a voxel has more than one of each, and they are 0."""
        pure = voxels["ff"] == 0
        return {"t1": voxels["t1h2o"] * pure, "t2": voxels["t2h2o"] * pure}

    def presence(self, pool: str) -> Where | None:
        """Where a voxel has one T1 and one T2."""
        return PURE

    def dictionary(self, sequence: PulseSequence, field_t: float | None = None) -> OnePoolDictionary:
        """Atoms in steps of 2.5 % wherever T2 is not longer than T1, interpolated from few phase graphs."""
        t2_ms, t1_ms = (x.ravel() for x in np.meshgrid(_axis(T2_RANGE_MS), _axis(T1_RANGE_MS), indexing="ij"))
        possible = t2_ms <= t1_ms
        t1_ms, t2_ms = t1_ms[possible], t2_ms[possible]
        signals = _node_signals(sequence)
        coefficients = _coefficients(signals).reshape(NODES**2, -1)
        polynomials = _values(t1_ms, T1_RANGE_MS), _values(t2_ms, T2_RANGE_MS)
        atoms = np.empty((len(t1_ms), len(sequence)), np.float32)
        # in double precision, so that rounding hides the last bits, which depend on the number of threads
        for first in range(0, len(atoms), BLOCK):
            of_t1, of_t2 = (values[first : first + BLOCK] for values in polynomials)
            products = np.einsum("ni,nj->nij", of_t1, of_t2)
            atoms[first : first + BLOCK] = products.reshape(len(products), -1) @ coefficients
        return OnePoolDictionary(sequence, {"t1": t1_ms, "t2": t2_ms}, atoms, source=signals)

    def load_dictionary(self, path: Path) -> OnePoolDictionary:
        """Read a file that `spokestream dictionary --grid song` (or another grid of T1 and T2) made."""
        stored = load_t1t2_dictionary(path, compressed=True)
        if stored.energy < LEAST_ENERGY:
            raise FileError(
                f"{path} was compressed to {100 * stored.energy:.4g} % of the energy, which is too little for T2; make "
                f"it with --compress {LEAST_ENERGY:g}, or without this option."
            )
        if np.iscomplexobj(stored.atoms):
            raise FileError(f"{path} holds complex signals; T1 and T2 are mapped with real ones.")
        return OnePoolDictionary.of(stored)

    def closed_form(
        self, sequence: PulseSequence, basis: TemporalBasis, field_t: float | None = None
    ) -> "RelaxationSignal":
        """The signals, interpolated in log T1 and log T2."""
        return RelaxationSignal(sequence, basis)


class RelaxationSignal:
    """Fingerprints of any T1 and T2 in one scan, and their derivatives; both enter by their logarithm.

    Args:
        sequence: the scan's pulse sequence.
        basis: a temporal basis whose frames are the sequence's.

    Raises ScanError for a basis of too few images.

    """

    def __init__(self, sequence: PulseSequence, basis: TemporalBasis) -> None:
        self.model: TissueModel = RELAXATION
        self.sequence = sequence
        self._signals = [_node_signals(sequence, efficiency) for efficiency in (1.0, POOR_INVERSION)]
        self._see_through(basis)

    def through(self, basis: TemporalBasis) -> Self:
        """The same fingerprints through another basis, for instance of a slice that lacks frames."""
        if basis is self.basis:
            return self
        other = copy(self)
        other._see_through(basis)
        return other

    def _see_through(self, basis: TemporalBasis) -> None:
        self.model.check_images(len(basis.te_ms))
        self.basis = basis
        perfect, poor = (_coefficients(basis.project(signals) / basis.noise) for signals in self._signals)
        halves = np.ptp(np.log(T1_RANGE_MS)) / 2, np.ptp(np.log(T2_RANGE_MS)) / 2
        by_parameter = [derivative(perfect, axis) / half for axis, half in enumerate(halves)]
        by_efficiency = (perfect - poor) / (1 - POOR_INVERSION)
        tables = np.concatenate([perfect, *by_parameter, by_efficiency], axis=-1)
        self._tables = torch.tensor(tables.reshape(NODES**2, -1), dtype=torch.float32)

    def at(self, *parameters: Tensor, efficiency: float = 1.0, by_efficiency: bool = False) -> tuple[Tensor, Tensor]:
        """See `ClosedForm.at`. T1 and T2 outside their ranges are taken at the ends."""
        along = [
            chebyshev_values(_to_unit(values.clamp(*span).log(), span), NODES)
            for values, span in zip(parameters, (T1_RANGE_MS, T2_RANGE_MS), strict=True)
        ]
        products = (along[0][:, :, None] * along[1][:, None, :]).flatten(1)
        signal, *derivatives = (products @ self._tables).chunk(4, dim=1)
        signal = signal - (1 - efficiency) * derivatives[-1]
        wanted = derivatives if by_efficiency else derivatives[:-1]
        return signal.to(torch.complex64), torch.stack(wanted, dim=1).to(torch.complex64)


def _axis(span: tuple[float, float]) -> NDArray[np.float64]:
    """Values from end to end of a range in steps of about `STEP`."""
    n = round(np.log(span[1] / span[0]) / STEP) + 1
    return np.geomspace(*span, n)


def _node_signals(sequence: PulseSequence, efficiency: float = 1.0) -> NDArray[np.float64]:
    """The signals (nodes, nodes, spokes) at the Chebyshev nodes of log T1 and log T2."""
    nodes = chebpts1(NODES)
    t1_ms, t2_ms = (np.exp(from_unit(nodes, np.log(span))) for span in (T1_RANGE_MS, T2_RANGE_MS))
    return np.asarray(fingerprint(sequence, t1_ms[:, None], t2_ms, inversion_efficiency=efficiency))


def _coefficients(values: NDArray[Any]) -> NDArray[Any]:
    """The Chebyshev coefficients (nodes, nodes, K) of values at the nodes."""
    fit = np.linalg.inv(chebvander(chebpts1(NODES), NODES - 1)).astype(values.dtype)
    return np.asarray(np.einsum("ai,bj,ijk->abk", fit, fit, values, optimize=True))


def _values(values: NDArray[np.float64], span: tuple[float, float]) -> NDArray[np.float64]:
    """The Chebyshev polynomials (n, nodes) at the logarithms of values."""
    low, high = np.log(span)
    return np.asarray(chebvander((np.log(values) - low) / (high - low) * 2 - 1, NODES - 1))


def _to_unit(logarithm: Tensor, span: tuple[float, float]) -> Tensor:
    low, high = math.log(span[0]), math.log(span[1])
    return (logarithm - low) / (high - low) * 2 - 1


RELAXATION = Relaxation()
