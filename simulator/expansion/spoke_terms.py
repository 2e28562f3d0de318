"""One set of signal terms for all subjects, with any inversion efficiency and any gradient delays.

Delays shift a spoke at angle a by dk (dx cos a, dy sin a). This multiplies the image by exp(i rho cos(a - theta)), with
rho (cos theta, sin theta) = 2 pi dk (dx x, dy y). By the Jacobi-Anger expansion the factor is

    J0(rho) + sum over n of 2 i^n Jn(rho) (cos(n theta) cos(n a) + sin(n theta) sin(n a)),

a sum of products of an image and a function of the spoke, as are the terms of the signal (`signal_expansion.py`).
Trains are quadratic in the inversion efficiency, so that they, too, are such sums. One point spread function for each
term is enough for all subjects.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import jv

from spokestream.simulator.expansion.signal_expansion import EchoTerms, TissueRange, expand, signal_terms
from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.trajectory import golden_angles

__all__ = ["PEOPLE", "SpokeTerms"]

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

PEOPLE = TissueRange(
    t1h2o_ms=(300.0, 4700.0), t2h2o_ms=(1.0, 1200.0), t1fat_ms=(170.0, 550.0), b1=(0.3, 1.2), deltaf_hz=(-125.0, 125.0)
)
"""The range of all tissue in phantoms of people, and of its changes: texture takes fat T1 beyond 430 ms."""
ORDERS = 5
"""Orders of the Bessel functions. In the corners of an image the next order is 5e-3 for delays of one sample, and 1e-5
for a third of a sample."""
VOXELS = 3000
"""Random voxels, with any tissue, position and delays, from which the energy of every term is computed."""


class SpokeTerms:
    """The signal terms for all subjects of a training set, and the term images of one subject.

    Args:
        sequence: the sequence, ideally or gradient-spoiled.
        time_ms: (samples,) time from the echo.
        dk: distance of two samples in cycles per field of view.
        efficiencies: lowest and highest inversion efficiency.
        most_delay: largest delay of either gradient, in samples.
        receiver_hz: frequency of the receiver during the readout, counted downwards from that of water.
        tolerance: error that is allowed, relative to the root mean square over all tissue, efficiencies and delays.
        profile: flip angles through the slice, see `slice_profile`; None is a rectangular profile.

    """

    def __init__(
        self,
        sequence: PulseSequence,
        time_ms: Real,
        *,
        dk: float,
        efficiencies: tuple[float, float],
        most_delay: float,
        receiver_hz: float,
        tolerance: float,
        profile: Real | None = None,
    ) -> None:
        self._profile = profile
        self._sequence, self._time_ms, self.receiver_hz = sequence, time_ms, receiver_hz
        self._tolerance, self._dk = tolerance, dk
        self._orders = ORDERS if most_delay else 0
        self.groups: list[EchoTerms] = []
        """The terms for each echo time. Their trains are products of a train and a function of the spoke's angle."""
        self._kept: tuple[float, list[EchoTerms]] | None = None
        self._trains: list[Real] = []
        rng = np.random.default_rng(0)
        tissue, (x, y, *delay) = _any_tissue(rng), rng.uniform(-0.5, 0.5, (4, VOXELS))
        if sequence.spoiling != "ideal":  # T2 changes the shape of the trains; with ideal spoiling it only scales them
            shortest, longest = np.log(PEOPLE.t2h2o_ms)
            t2_ms = np.exp(rng.uniform(shortest, longest, (1, VOXELS)))
            tissue = replace(tissue, t2h2o=np.minimum(t2_ms, tissue.t1h2o).astype(np.float32))
        factors = self._delay_factors(x, y, (2 * most_delay * delay[0], 2 * most_delay * delay[1]))
        of_angle = self._of_angle()
        factor_energy = _energy(factors) * np.mean(of_angle**2, axis=1)
        expansions = [self._of_pools(float(efficiency)) for efficiency in np.unique(np.linspace(*efficiencies, 3))]
        images = [map(_by_pair, terms, expand(tissue, terms)) for terms in expansions]
        for several, coefficients in zip(zip(*expansions, strict=True), zip(*images, strict=True), strict=True):
            trains = _common_trains(several, coefficients, tolerance)
            common = [np.tensordot(trains @ g.trains.T, c, 1) for g, c in zip(several, coefficients, strict=True)]
            energy = np.mean([_energy(c) for c in common], axis=0)  # (trains, evolutions)
            energy = energy[:, None] * factor_energy[:, None]
            kept = np.argwhere(energy > _threshold(energy, tolerance)).tolist()
            group = several[0]
            products = (trains[:, None] * of_angle[:, group.spokes]).reshape(-1, group.spokes.size)
            pairs = tuple((train * len(factors) + factor, evolution) for train, factor, evolution in kept)
            self.groups.append(replace(group, trains=products, pairs=pairs))
            self._trains.append(trains)

    def images(self, phantom: Phantom, efficiency: float, delays: tuple[float, float]) -> list[NDArray[np.complex64]]:
        """The image of every term, for each echo time: a list of (terms, voxels).

        The voxels are those with `phantom.pd > 0`; delays (x, y) are in samples. Raises InputError for tissue outside
        the range `PEOPLE`.
        """
        ny, nx = phantom.pd.shape
        rows, columns = np.nonzero(phantom.pd > 0)
        factors = self._delay_factors((columns - nx // 2) / nx, (rows - ny // 2) / ny, delays)
        own = self._of_exam(efficiency)
        out = []
        for group, trains, mine, images in zip(self.groups, self._trains, own, expand(phantom, own), strict=True):
            in_common = np.tensordot(trains @ mine.trains.T, _by_pair(mine, images), 1)
            image = np.empty((len(group.pairs), rows.size), np.complex64)
            for term, (product, evolution) in enumerate(group.pairs):
                train, factor = divmod(product, len(factors))
                image[term] = in_common[train, evolution] * factors[factor]
            out.append(image)
        return out

    def _of_exam(self, efficiency: float) -> list[EchoTerms]:
        """The terms of the exam's efficiency. They are kept for its other slices: phase graphs take seconds."""
        if self._kept is None or self._kept[0] != efficiency:
            self._kept = efficiency, self._of_pools(efficiency)
        return self._kept[1]

    def _of_pools(self, efficiency: float) -> list[EchoTerms]:
        signal = partial(fingerprint, self._sequence, inversion_efficiency=efficiency, slice_profile=self._profile)
        # a smaller tolerance than that of the products, so that the errors of both stay within it
        return signal_terms(self._sequence, signal, self._time_ms, PEOPLE, self._tolerance / 3, self.receiver_hz)

    def _of_angle(self) -> Real:
        """The functions of the angle, (functions, spokes): 1, cos(n a) and sin(n a)."""
        angles = np.outer(np.arange(1, self._orders + 1), golden_angles(np.arange(len(self._sequence))))
        return np.vstack([np.ones(angles.shape[1]), np.cos(angles), np.sin(angles)])

    def _delay_factors(self, x: Real, y: Real, delays: tuple[ArrayLike, ArrayLike]) -> Complex:
        """The factors (functions, voxels) of the functions of the angle, at positions (x, y) in fields of view."""
        across, down = (2 * np.pi * self._dk * np.multiply(d, place) for d, place in zip(delays, (x, y), strict=True))
        rho, theta = np.hypot(across, down), np.arctan2(down, across)
        n = np.arange(1, self._orders + 1)[:, None]
        size = 2 * 1j**n * jv(n, rho)
        return np.vstack([jv(0, rho)[None].astype(complex), size * np.cos(n * theta), size * np.sin(n * theta)])


def _any_tissue(rng: np.random.Generator) -> Phantom:
    """A phantom (1, voxels) of random tissue, uniformly distributed over the range `PEOPLE`."""

    def even(low: float, high: float) -> NDArray[np.float32]:
        return rng.uniform(low, high, (1, VOXELS)).astype(np.float32)

    return Phantom(
        pd=np.ones((1, VOXELS), np.float32),
        ff=even(0, 1),
        t1h2o=np.exp(even(*np.log(PEOPLE.t1h2o_ms))),
        t2h2o=np.full((1, VOXELS), 40, np.float32),
        t1fat=even(*PEOPLE.t1fat_ms),
        deltaf=even(*PEOPLE.deltaf_hz),
        b1=even(*PEOPLE.b1),
        label=np.ones((1, VOXELS), np.uint8),
        label_names=("air", "tissue"),
        purity=np.ones((1, VOXELS), np.float32),
        fov_mm=1.0,
    )


def _by_pair(group: EchoTerms, images: Complex) -> Complex:
    """The images in an array (trains, evolutions, voxels), which is zero for pairs without a term."""
    out = np.zeros((len(group.trains), len(group.evolutions), images.shape[1]), complex)
    for (train, evolution), image in zip(group.pairs, images, strict=True):
        out[train, evolution] = image
    return out


def _common_trains(groups: Sequence[EchoTerms], images: Sequence[Complex], tolerance: float) -> Real:
    """Orthonormal trains (trains, spokes) that span the signal of tissue with the trains of all groups."""
    every = np.vstack([np.real(group.trains) for group in groups])
    frame = np.linalg.qr(every.T)[0]  # (spokes, at most all trains)
    inside = [frame.T @ np.real(g.trains).T @ c.reshape(len(c), -1) for g, c in zip(groups, images, strict=True)]
    power, vectors = np.linalg.eigh(sum(np.real(c @ c.conj().T) for c in inside))
    return np.asarray((frame @ vectors[:, power > (0.1 * tolerance) ** 2 * power[-1]]).T)


def _energy(coefficients: Complex) -> Real:
    return np.asarray(np.mean(np.abs(coefficients) ** 2, axis=-1))


def _threshold(energy: Real, tolerance: float) -> float:
    """The largest energy for which all energies up to it add up to less than `tolerance` squared of the total."""
    ascending = np.sort(energy, axis=None)
    n_left_out = np.count_nonzero(np.cumsum(ascending) < tolerance**2 * energy.sum())
    return float(ascending[n_left_out - 1]) if n_left_out else 0.0
