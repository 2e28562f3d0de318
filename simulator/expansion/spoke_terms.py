"""The signal of every subject in one set of terms, whatever its inversion efficiency and its gradient delays.

Delays shift a spoke at angle a by dk (dx cos a, dy sin a), which turns the image that it sees by
exp(i rho cos(a - theta)) with rho (cos theta, sin theta) = 2 pi dk (dx x, dy y). By Jacobi and Anger that is

    J0(rho) + sum over n of 2 i^n Jn(rho) (cos(n theta) cos(n a) + sin(n theta) sin(n a)),

products of an image and a function of the spoke, as the terms of the signal are (`signal_expansion.py`). So are
trains of another inversion efficiency, in which they are quadratic. One point spread function a term serves all.
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
    t1h2o_ms=(300.0, 4700.0), t2h2o_ms=(1.0, 1200.0), t1fat_ms=(230.0, 430.0), b1=(0.3, 1.2), deltaf_hz=(-125.0, 125.0)
)
"""All tissue that phantoms of people are made of."""
ORDERS = 5
"""Of Bessel functions: of the next, corners would see 5e-3 for delays of one sample, and 1e-5 for a third of one."""
VOXELS = 3000
"""Of any tissue, anywhere, with any delays: they tell the energy of every term."""


class SpokeTerms:
    """Terms for all subjects of a training set, and the images of one subject in them.

    Args:
        sequence: ideally spoiled.
        time_ms: (samples,) from the echo.
        dk: distance of two samples in cycles per field of view.
        efficiencies: lowest and highest inversion efficiency.
        most_delay: in samples, of either gradient.
        receiver_hz: frequency of the receiver during the readout, below that of water.
        tolerance: what may be left out, of the root mean square over all tissue, efficiencies and delays.
        profile: flip angle over the slice's thickness, None for one of a box.

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
        """For each echo time. Trains are products of trains and functions of the spoke's angle."""
        self._trains: list[Real] = []
        rng = np.random.default_rng(0)
        tissue, (x, y, *delay) = _any_tissue(rng), rng.uniform(-0.5, 0.5, (4, VOXELS))
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

        Voxels are those where `phantom.pd > 0`; delays (x, y) are in samples. Raises InputError for tissue that no
        person has.
        """
        ny, nx = phantom.pd.shape
        rows, columns = np.nonzero(phantom.pd > 0)
        factors = self._delay_factors((columns - nx // 2) / nx, (rows - ny // 2) / ny, delays)
        own = self._of_pools(efficiency)
        out = []
        for group, trains, mine, images in zip(self.groups, self._trains, own, expand(phantom, own), strict=True):
            in_common = np.tensordot(trains @ mine.trains.T, _by_pair(mine, images), 1)
            image = np.empty((len(group.pairs), rows.size), np.complex64)
            for term, (product, evolution) in enumerate(group.pairs):
                train, factor = divmod(product, len(factors))
                image[term] = in_common[train, evolution] * factors[factor]
            out.append(image)
        return out

    def _of_pools(self, efficiency: float) -> list[EchoTerms]:
        signal = partial(fingerprint, self._sequence, inversion_efficiency=efficiency, slice_profile=self._profile)
        # what is left out here must not count against what is left out of the products
        return signal_terms(self._sequence, signal, self._time_ms, PEOPLE, self._tolerance / 3, self.receiver_hz)

    def _of_angle(self) -> Real:
        """(functions of the angle, spokes): 1, cos(n a) and sin(n a)."""
        angles = np.outer(np.arange(1, self._orders + 1), golden_angles(np.arange(len(self._sequence))))
        return np.vstack([np.ones(angles.shape[1]), np.cos(angles), np.sin(angles)])

    def _delay_factors(self, x: Real, y: Real, delays: tuple[ArrayLike, ArrayLike]) -> Complex:
        """(functions of the angle, voxels): what multiplies them at (x, y) in fields of view."""
        across, down = (2 * np.pi * self._dk * np.multiply(d, place) for d, place in zip(delays, (x, y), strict=True))
        rho, theta = np.hypot(across, down), np.arctan2(down, across)
        n = np.arange(1, self._orders + 1)[:, None]
        size = 2 * 1j**n * jv(n, rho)
        return np.vstack([jv(0, rho)[None].astype(complex), size * np.cos(n * theta), size * np.sin(n * theta)])


def _any_tissue(rng: np.random.Generator) -> Phantom:
    """(1, voxels) of all tissue in the range, evenly."""

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
        fov_mm=1.0,
    )


def _by_pair(group: EchoTerms, images: Complex) -> Complex:
    """(trains, evolutions, voxels), zero where there is no term."""
    out = np.zeros((len(group.trains), len(group.evolutions), images.shape[1]), complex)
    for (train, evolution), image in zip(group.pairs, images, strict=True):
        out[train, evolution] = image
    return out


def _common_trains(groups: Sequence[EchoTerms], images: Sequence[Complex], tolerance: float) -> Real:
    """(trains, spokes) orthonormal, that span the trains of all groups as far as tissue needs them."""
    every = np.vstack([np.real(group.trains) for group in groups])
    frame = np.linalg.qr(every.T)[0]  # (spokes, at most all trains)
    inside = [frame.T @ np.real(g.trains).T @ c.reshape(len(c), -1) for g, c in zip(groups, images, strict=True)]
    power, vectors = np.linalg.eigh(sum(np.real(c @ c.conj().T) for c in inside))
    return np.asarray((frame @ vectors[:, power > (0.1 * tolerance) ** 2 * power[-1]]).T)


def _energy(coefficients: Complex) -> Real:
    return np.asarray(np.mean(np.abs(coefficients) ** 2, axis=-1))


def _threshold(energy: Real, tolerance: float) -> float:
    """Energies up to this one add up to less than `tolerance` squared of them all."""
    ascending = np.sort(energy, axis=None)
    n_left_out = np.count_nonzero(np.cumsum(ascending) < tolerance**2 * energy.sum())
    return float(ascending[n_left_out - 1]) if n_left_out else 0.0
