"""The signal of tissue over spokes and samples, as a short sum of products.

At one echo time, the signal of a voxel is a train over the spokes (from T1, T2 and B1) times an evolution along the
readout (from off-resonance and the fat spectrum). Over all tissue both span few dimensions, so that

    signal(voxel, spoke, sample) = sum over terms of image(voxel) train(spoke) evolution(sample).

Each term costs one transform for every coil, independent of the number of spokes and samples.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebpts1, chebvander
from numpy.typing import NDArray

from spokestream.errors import InputError
from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import FAT_T2_MS

__all__ = ["EchoTerms", "TissueRange", "TrainSignal", "expand", "signal_terms"]

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
Span = tuple[float, float]
Trains = NDArray[np.float64] | NDArray[np.complex128]


class TrainSignal(Protocol):
    """The signal of one pool at every spoke: `spokestream.simulator.physics.fingerprint` of one sequence."""

    def __call__(self, t1_ms: Any, t2_ms: Any, /, *, b1: Any) -> Any:
        """(*shape, spokes) of T1 (ms), T2 (ms) and B1, whose shapes broadcast."""


NODES = (10, 8, 10)
"""Initial numbers of Chebyshev nodes of log T1, log T2 and B1; a wide range of tissue needs more."""
MOST_NODES = 40
RESOLVED = {"ideal": 1e-5, "gradient": 2e-4}
"""The nodes are enough when the highest polynomials, relative to the largest, are below this. For gradient spoiling it
is the accuracy of the phase graphs."""
CHUNK = 8192
"""Voxels whose polynomials are computed at once."""


@dataclass(frozen=True)
class TissueRange:
    """The range of tissue that an expansion must be valid for: lowest and highest values."""

    t1h2o_ms: Span
    t2h2o_ms: Span
    t1fat_ms: Span
    b1: Span
    deltaf_hz: Span

    @classmethod
    def of(cls, phantom: Phantom) -> "TissueRange":
        """The range of one slice; a pool that does not occur gets an arbitrary T1 and T2."""
        tissue = phantom.pd > 0

        def span(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> Span:
            chosen = values[mask & tissue]
            return (float(chosen.min()), float(chosen.max())) if chosen.size else (300.0, 300.0)

        everywhere, water, fat = np.ones_like(tissue), phantom.ff < 1, phantom.ff > 0
        return cls(
            span(phantom.t1h2o, water), span(phantom.t2h2o, water), span(phantom.t1fat, fat),
            span(phantom.b1, everywhere), span(phantom.deltaf, everywhere),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Pool:
    """Trains of water or fat as Chebyshev polynomials of log T1, log T2 and B1."""

    spans: tuple[Span, Span, Span]
    polynomials: Trains
    """(T1, T2, B1, spokes), or (T1, T2, B1, trains) for coefficients in a basis of trains."""
    is_fat: bool

    @classmethod
    def interpolate(
        cls, signal: TrainSignal, t1_ms: Span, t2_ms: Span, b1: Span, resolved: float, is_fat: bool
    ) -> "tuple[_Pool, Trains]":
        """Interpolate the signal. Returns the pool, and its trains at the nodes."""
        spans = (_logarithms(t1_ms), _logarithms(t2_ms), b1)
        counts = [n if np.ptp(span) else 1 for n, span in zip(NODES, spans, strict=True)]
        while True:
            nodes = [chebpts1(n) for n in counts]
            t1, t2, scale = (np.mean(span) + np.ptp(span) / 2 * x for span, x in zip(spans, nodes, strict=True))
            values = signal(np.exp(t1)[:, None, None], np.exp(t2)[:, None], b1=scale)
            inverse = [np.linalg.inv(chebvander(x, len(x) - 1)) for x in nodes]
            polynomials = np.einsum("ai,bj,ck,ijks->abcs", *inverse, values, optimize=True)
            coarse = [
                axis for axis, n in enumerate(counts) if 1 < n < MOST_NODES and _tail(polynomials, axis) > resolved
            ]
            if not coarse:
                return cls(spans, polynomials, is_fat), values
            for axis in coarse:
                counts[axis] = min(MOST_NODES, 3 * counts[axis] // 2)

    def onto(self, trains: Trains, spokes: NDArray[np.intp]) -> "_Pool":
        """The pool with its trains, at these spokes, replaced by their coefficients in a basis of trains."""
        return _Pool(self.spans, self.polynomials[..., spokes] @ trains.conj().T, self.is_fat)

    def at(self, t1_ms: Real, t2_ms: Real, b1: Real) -> Trains:
        """The coefficients (trains, voxels) of tissue. Raises InputError for tissue outside the range."""
        degrees = [n - 1 for n in self.polynomials.shape[:3]]
        powers = []
        for what, value, span, degree in zip(
            ("T1", "T2", "B1"), (np.log(t1_ms), np.log(t2_ms), b1), self.spans, degrees, strict=True
        ):
            place = (value - np.mean(span)) / max(np.ptp(span) / 2, 1e-9) if degree else np.zeros_like(value)
            if np.abs(place).max() > 1 + 1e-4:
                raise InputError(f"The {what} of some tissue lies outside the range that the signal was expanded for.")
            powers.append(chebvander(place, degree))
        t1, t2, scale = powers
        products = (t1[:, :, None, None] * t2[:, None, :, None] * scale[:, None, None, :]).reshape(len(t1), -1)
        return np.asarray((products @ self.polynomials.reshape(products.shape[1], -1)).T)

    @property
    def knows_t2(self) -> bool:
        """Whether T2 is an axis; if not, all trains have `reference_t2_ms`."""
        return bool(self.polynomials.shape[1] > 1)

    @property
    def reference_t2_ms(self) -> float:
        """The T2 of the trains."""
        return float(np.exp(np.mean(self.spans[1])))


@dataclass(frozen=True, eq=False)
class EchoTerms:
    """The terms of the signal at one echo time."""

    te_ms: float
    spokes: NDArray[np.intp]
    """(spokes,) numbers of the spokes with this echo time."""
    trains: Trains
    """(trains, spokes) orthonormal."""
    evolutions: Real
    """(evolutions, samples) orthonormal."""
    pairs: tuple[tuple[int, int], ...]
    """(train, evolution) of every term."""
    time_ms: Real
    """(samples,) from the echo."""
    receiver_hz: float
    pools: tuple[_Pool, _Pool]
    """Coefficients of the trains of water and of fat."""


def signal_terms(
    sequence: PulseSequence,
    signal: TrainSignal,
    time_ms: Real,
    tissue: TissueRange,
    tolerance: float,
    receiver_hz: float = 0.0,
) -> list[EchoTerms]:
    """The trains and evolutions that span the signal of any mixture of water and fat in a range, for each echo time.

    Args:
        sequence: defines the echo times.
        signal: the signal of one pool.
        time_ms: (samples,) time from the echo.
        tissue: the range of tissue.
        tolerance: error that is allowed, relative to the root mean square over all tissue in the range.
        receiver_hz: frequency of the receiver during the readout, counted downwards from that of water.

    Raises InputError for balanced trains.

    """
    if sequence.spoiling == "balanced":
        raise InputError(
            f"Balanced trains show banding, which scans do not model; '{sequence.name}' cannot be scanned."
        )
    resolved = RESOLVED[sequence.spoiling]
    # without transverse magnetisation from earlier spokes, T2 scales a train at one echo time and keeps its shape
    t2h2o_ms = tissue.t2h2o_ms if sequence.spoiling != "ideal" else (tissue.t2h2o_ms[0],) * 2
    water, water_trains = _Pool.interpolate(signal, tissue.t1h2o_ms, t2h2o_ms, tissue.b1, resolved, is_fat=False)
    fat, fat_trains = _Pool.interpolate(signal, tissue.t1fat_ms, (FAT_T2_MS,) * 2, tissue.b1, resolved, is_fat=True)
    deltaf = np.linspace(*tissue.deltaf_hz, 25)
    terms = []
    for group, te_ms in enumerate(sequence.echo_times_ms):
        spokes = np.flatnonzero(sequence.echo_group == group)
        atoms = [trains[..., spokes].reshape(-1, spokes.size) for trains in (water_trains, fat_trains)]
        trains = _span(atoms, tolerance)
        phasors = [_phasors(deltaf, time_ms, receiver_hz)]
        phasors.append(phasors[0] * FatModel().phasor(te_ms + time_ms))
        evolutions = np.real(_span([part for pool in phasors for part in (pool.real, pool.imag)], tolerance))
        products = [
            np.outer(_energy(pool @ trains.conj().T), _energy(phasor @ evolutions.T))
            for pool, phasor in zip(atoms, phasors, strict=True)
        ]
        energy = np.sum(products, axis=0)
        order = np.argsort(energy, axis=None)
        n_left_out = np.count_nonzero(np.cumsum(energy.ravel()[order]) < tolerance**2 * energy.sum())
        every = list(product(range(len(trains)), range(len(evolutions))))
        terms.append(
            EchoTerms(
                float(te_ms), spokes, trains, evolutions,
                pairs=tuple(every[i] for i in sorted(order[n_left_out:].tolist())),
                time_ms=time_ms,
                receiver_hz=receiver_hz,
                pools=(water.onto(trains, spokes), fat.onto(trains, spokes)),
            )
        )  # fmt: skip
    return terms


def expand(phantom: Phantom, terms: list[EchoTerms]) -> list[Complex]:
    """The image of every term, for each echo time: a list of (terms, voxels), complex.

    The voxels are those with `phantom.pd > 0`, in the order of the array. Raises InputError for tissue outside the
    range that the terms were made for.
    """
    tissue = phantom.pd > 0
    names = ("pd", "ff", "t1h2o", "t2h2o", "t1fat", "deltaf", "b1")
    pd, ff, t1h2o, t2h2o, t1fat, deltaf, b1 = (getattr(phantom, name)[tissue].astype(float) for name in names)
    tissues = (((1 - ff) * pd, t1h2o, t2h2o), (ff * pd, t1fat, np.full(pd.shape, FAT_T2_MS)))
    images = [np.zeros((len(group.pairs), pd.size), complex) for group in terms]
    for image, group in zip(images, terms, strict=True):
        for pool, (density, t1_ms, t2_ms) in zip(group.pools, tissues, strict=True):
            present = np.flatnonzero(density > 0)  # a pool with no protons may have no T1
            for start in range(0, present.size, CHUNK):
                voxels = present[start : start + CHUNK]
                trains = pool.at(t1_ms[voxels], t2_ms[voxels], b1[voxels]) * density[voxels]
                if not pool.knows_t2:
                    trains = trains * np.exp(group.te_ms * (1 / pool.reference_t2_ms - 1 / t2_ms[voxels]))
                evolutions = _evolutions(deltaf[voxels], group, pool.is_fat)
                for term, (train, evolution) in enumerate(group.pairs):
                    image[term, voxels] += trains[train] * evolutions[evolution]
    return images


def _phasors(deltaf_hz: Real, time_ms: Real, receiver_hz: float) -> Complex:
    return np.asarray(np.exp(-2j * np.pi * 1e-3 * np.outer(deltaf_hz - receiver_hz, time_ms)))


def _evolutions(deltaf_hz: Real, group: EchoTerms, is_fat: bool) -> Complex:
    """The coefficients (evolutions, voxels) of the phase of each voxel over the readout, including that at the echo.

    They are smooth functions of the off-resonance and are interpolated, with an error of 1e-6 at steps of a few
    thousandths of a cycle.
    """
    steps = 3 + int(400 * 1e-3 * np.ptp(deltaf_hz) * np.abs(group.te_ms + group.time_ms).max())
    nodes = np.linspace(deltaf_hz.min(), deltaf_hz.max(), steps)
    phasors = _phasors(nodes, group.time_ms, group.receiver_hz)
    phasors = phasors * np.exp(-2j * np.pi * 1e-3 * group.te_ms * nodes)[:, None]
    if is_fat:
        phasors = phasors * FatModel().phasor(group.te_ms + group.time_ms)
    return np.stack([np.interp(deltaf_hz, nodes, column) for column in (phasors @ group.evolutions.T).T])


def _span(signals: list[Trains], tolerance: float) -> Trains:
    """An orthonormal basis (dimensions, points) of all rows, to a tenth of the tolerance."""
    # torch's decomposition, because numpy's stalls for seconds when cores are shared
    _, singular, basis = torch.linalg.svd(torch.from_numpy(np.vstack(signals)), full_matrices=False)
    return np.asarray(basis[singular > 0.1 * tolerance * singular[0]].numpy())


def _tail(polynomials: Trains, axis: int) -> float:
    """The larger of the two highest polynomials of an axis, relative to the largest of all."""
    size = np.abs(polynomials)
    return float(np.take(size, (-2, -1), axis).max() / size.max())


def _energy(coefficients: Trains) -> Real:
    return np.asarray(np.mean(np.abs(coefficients) ** 2, axis=0))


def _logarithms(span: Span) -> Span:
    return float(np.log(span[0])), float(np.log(span[1]))
