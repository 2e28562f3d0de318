"""Delays of the gradients of a radial scan, estimated from its spokes.

Delayed gradients shift each spoke by a vector, which is linear in the spoke's direction (Rosenzweig et al. 2019):
a spoke that steps by u from sample to sample lies at k - S u instead of k. The symmetric matrix S holds the delays of
both axes in samples, and their coupling. A shift of all spokes along themselves, for instance by an echo half a sample
away from its place, is S times the unit matrix.

Rosenzweig et al. compare pairs of spokes where they cross. Here all samples near k = 0 are compared at once: the object
lies inside the field of view, so that its k-space is smooth, and the signal changes gradually with time. Polynomials in
kx, ky and time therefore describe the samples of all coils, if they are at the right places. S is where the rest is
smallest (variable projection). Two further terms are fitted so that they do not look like delays: the phase that eddy
currents give to a spoke by its direction, and the change of the signal during the readout.
"""

from collections.abc import Sequence
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import SpokeBlock
from spokestream.gadgets.spokes.moved_spokes import shift_matrix

__all__ = ["SHORTEST_BLOCK", "SPOKES", "DelayEstimate", "estimate_delays"]

Real = NDArray[np.float64]

SPOKES = 200
"""Number of spokes at the start of a slice from which the delays are estimated."""
LONGEST_BLOCK, SHORTEST_BLOCK = 100, 40
"""Numbers of spokes that are described by one set of polynomials. In 100 spokes of 3.5 ms, polynomials in time describe
the recovery of any tissue. With 66 and with 200 spokes, the errors in simulated subjects were similar."""
REACH = 2
"""Samples on each side of k = 0 that are compared."""
DEGREE = 6
"""Degree of the polynomials in kx and ky."""
TIME_TERMS = (6, 5, 4, 3, 3, 2, 1)
"""Number of powers of time by which the coefficients of each degree in k may change. Coefficients of higher degree are
smaller."""
READOUT_DEGREE = 1
"""Degree in kx and ky of the signal's change during the readout."""
OBJECT_RADIUS = 0.3
"""Typical distance of tissue from the centre, in fields of view, which gives the size of the coefficients."""
LEAST_PENALTY = 5e-3
"""Penalty of the squared coefficients. It decides only where samples leave a coefficient undetermined."""
PHASE_DEVIATION = 0.3
"""Standard deviation, in radians, that is expected of the phase by direction. It decides only with a single coil."""
MOST_COILS = 8
"""Number of coils, those with most signal, that are used."""
MOST_STEPS = 12
"""Steps of Gauss-Newton, after which the estimate has not converged."""
CONVERGED = 5e-4
"""Change of a delay in samples below which the estimate has converged."""
SAME_SAMPLES = 0.3
"""Change of a delay up to which the same samples are compared, so that the steps cannot alternate between two sets."""
FARTHEST = 4.0
"""Largest delay in samples that is searched for."""


class DelayEstimate(NamedTuple):
    """An estimate of the matrix S."""

    samples: Real
    """(3,): the delays of the x and the y gradient, and their coupling, in samples."""
    deviation: Real
    """(3,): their standard deviations."""
    misfit: float
    """Root mean square of what the polynomials leave over, relative to the samples; infinite if nothing was found."""


class _Block(NamedTuple):
    """Spokes of one contrast that changes gradually."""

    data: NDArray[np.complex128]
    """(spokes, samples, coils)"""
    k: Real
    """(spokes, samples, 2) in cycles per field of view."""
    step: Real
    """(spokes, 2)"""
    time: Real
    """(spokes,) from -1 to 1."""


class _Normal(NamedTuple):
    """What one block says of the unknowns, which are the delays (3) and the phases by direction (2)."""

    matrix: Real
    """(5, 5)"""
    vector: Real
    """(5,)"""
    squares: float
    """The sum of the squared residuals."""
    size: int
    """The number of residuals, real and imaginary."""
    freedom: int
    """The number of residuals less that of the coefficients."""


def estimate_delays(
    frames: Sequence[SpokeBlock], run: NDArray[np.intp], fov_ratio: float = 1.0
) -> DelayEstimate | None:
    """The delays of the gradients; None if there are too few spokes.

    Args:
        frames: the first frames of a slice, with places k that know nothing of delays.
        run: the run of every spoke of the train, within which the signal changes gradually.
        fov_ratio: the field of view along y over that along x.

    """
    blocks = _blocks(frames, run)
    if not blocks:
        return None
    unknowns = np.concatenate([_start(blocks, fov_ratio), np.zeros(2)])
    prior = np.diag([0, 0, 0, PHASE_DEVIATION**-2, PHASE_DEVIATION**-2])
    penalty = np.full(len(blocks), LEAST_PENALTY)
    about = unknowns[:3]
    misfit = np.inf
    for _ in range(MOST_STEPS):
        if np.abs(unknowns[:3] - about).max() > SAME_SAMPLES:
            about = unknowns[:3]
        parts = [_normal(b, unknowns, about, fov_ratio, p) for b, p in zip(blocks, penalty, strict=True)]
        variance = np.array([max(part.squares / part.freedom, 1e-300) for part in parts])
        penalty = np.array([max(LEAST_PENALTY, v / _power(b)) for v, b in zip(variance, blocks, strict=True)])
        matrix = sum((part.matrix / v for part, v in zip(parts, variance, strict=True)), prior)
        vector = sum((part.vector / v for part, v in zip(parts, variance, strict=True)), -prior @ unknowns)
        spread = _disagreement(parts, variance, prior) if len(parts) > 1 else 1.0
        deviation = np.sqrt(np.diag(np.linalg.inv(matrix))[:3] * max(1.0, spread))
        change = np.linalg.solve(matrix, vector)
        largest = np.abs(change[:3]).max()
        unknowns = unknowns + change * min(1.0, 1.0 / max(largest, 1e-9))  # one sample at a time
        if not np.abs(unknowns[:3]).max() < FARTHEST:
            break
        if largest < max(CONVERGED, deviation.max() / 10):
            residual = sum(part.squares for part in parts)
            misfit = float(
                np.sqrt(residual / sum(_power(block) * part.size for block, part in zip(blocks, parts, strict=True)))
            )
            break
    return DelayEstimate(unknowns[:3], deviation, misfit)


def _start(blocks: list[_Block], fov_ratio: float) -> Real:
    """A first estimate of the delays (3,), from where along the spokes most of the signal is.

    The centre of the signal's power is (u S u) / (u u) samples from where k = 0 should be.
    """
    power = np.concatenate([np.sum(np.abs(block.data) ** 2, axis=2) for block in blocks])
    where = power @ (np.arange(power.shape[1]) - power.shape[1] // 2) / np.maximum(power.sum(1), 1e-300)
    ux, uy = np.concatenate([block.step for block in blocks]).T / np.array([[1.0], [fov_ratio]])
    squares = np.stack([ux**2, uy**2, 2 * ux * uy], axis=1) / (ux**2 + uy**2)[:, None]
    return np.asarray(np.linalg.lstsq(squares, where, rcond=1e-3)[0])


def _power(block: _Block) -> float:
    """The mean power of the real and of the imaginary parts of the samples."""
    return float(np.mean(np.abs(block.data) ** 2)) / 2 + 1e-300


def _blocks(frames: Sequence[SpokeBlock], run: NDArray[np.intp]) -> list[_Block]:
    """The spokes by contrast, with samples near k = 0 only, of the coils with most signal."""
    spokes = [pair for frame in frames for pair in zip(np.moveaxis(frame.data, 1, 0), frame.k, strict=True)]
    index = np.concatenate([frame.indices for frame in frames])
    n_samples = len(spokes[0][1])
    centre = [int(np.hypot(*k.T).argmin()) for _, k in spokes]
    reach = int(np.ceil(FARTHEST)) + REACH
    if min(centre) < reach or max(centre) + reach >= n_samples:
        return []
    near = [slice(c - reach, c + reach + 1) for c in centre]
    samples = np.stack([data[:, part].T for (data, _), part in zip(spokes, near, strict=True)]).astype(np.complex128)
    places = np.stack([k[part] for (_, k), part in zip(spokes, near, strict=True)]).astype(np.float64)
    strongest = np.argsort(np.sum(np.abs(samples) ** 2, axis=(0, 1)))[::-1][:MOST_COILS]
    samples = samples[:, :, strongest]
    scale = np.abs(samples).max()
    if not 0 < scale < np.inf:
        return []
    step = np.stack([(k[-1] - k[0]).astype(np.float64) / (n_samples - 1) for _, k in spokes])
    blocks = []
    for number in np.unique(run[index]):
        members = np.flatnonzero(run[index] == number)
        members = members[np.argsort(index[members])]
        for part in np.array_split(members, -(-len(members) // LONGEST_BLOCK)):
            if len(part) >= SHORTEST_BLOCK:
                first, last = index[part[0]], index[part[-1]]
                time = 2 * (index[part] - first) / (last - first) - 1
                blocks.append(_Block(samples[part] / scale, places[part], step[part], time))
    return blocks


def _normal(block: _Block, unknowns: Real, about: Real, fov_ratio: float, penalty: float) -> _Normal:
    """The normal equations of one block at these unknowns, with the coefficients of the polynomials eliminated.

    The samples are those around k = 0 if the delays are `about`.
    """
    delays, phases = unknowns[:3], unknowns[3:]
    shift = block.step @ shift_matrix(delays, fov_ratio).T
    length = np.hypot(*block.step.T)
    direction = block.step / length[:, None]
    middle = block.k.shape[1] // 2
    # the samples around the place where the spoke passes k = 0 most closely
    nearest = middle + np.rint(
        np.sum(direction * (block.step @ shift_matrix(about, fov_ratio).T), axis=1) / length
    ).astype(int)
    nearest = np.clip(nearest, REACH, block.k.shape[1] - 1 - REACH)
    near = nearest[:, None] + np.arange(-REACH, REACH + 1)
    rows = np.arange(len(near))[:, None]
    scale = REACH * float(length.mean())
    place = (block.k[rows, near] - shift[:, None]) / scale
    along = (near - middle) / REACH
    y = block.data[rows, near] * np.exp(-1j * (direction @ phases))[:, None, None]
    y = y.reshape(-1, y.shape[2])
    a, by_x, by_y = _polynomials(place[..., 0], place[..., 1], block.time[:, None], along, 2 * np.pi * scale)
    gram = a.T @ a + penalty * np.eye(a.shape[1])
    both = np.concatenate([y.real, y.imag], axis=1)
    coefficients = np.linalg.solve(gram, a.T @ both)
    model = a @ coefficients
    residual = both - model
    n_coils = y.shape[1]
    ux, uy = (np.repeat(block.step[:, axis] / scale, near.shape[1])[:, None] for axis in (0, 1))
    across, down = by_x @ coefficients, by_y @ coefficients
    turned = np.concatenate([-model[:, n_coils:], model[:, :n_coils]], axis=1)
    cosine, sine = (np.repeat(direction[:, axis], near.shape[1])[:, None] for axis in (0, 1))
    derivatives = np.concatenate(
        [
            -across * ux, -down * uy, -(across * uy / fov_ratio + down * ux * fov_ratio), turned * cosine,
            turned * sine,
        ],
        axis=1,
    )  # fmt: skip
    own = derivatives - a @ np.linalg.solve(gram, a.T @ derivatives)
    derivatives = derivatives.reshape(len(a), 5, -1)
    own = own.reshape(derivatives.shape)
    matrix = np.einsum("nic,njc->ij", derivatives, own, optimize=True)
    vector = np.einsum("nic,nc->i", derivatives, residual, optimize=True)
    freedom = both.size - a.shape[1] * both.shape[1]
    return _Normal(matrix, vector, float(np.sum(residual**2)), both.size, freedom)


def _polynomials(x: Real, y: Real, time: Real, along: Real, rate: float) -> tuple[Real, Real, Real]:
    """The polynomials (samples, terms), and their derivatives by x and y.

    Args:
        x: (spokes, samples) kx, in units in which the phase of an object changes by `rate` per field of view.
        y: (spokes, samples) ky, likewise.
        time: (spokes, 1) from -1 to 1.
        along: (spokes, samples) place in the readout.
        rate: 2 pi times the unit of x and y in cycles per field of view.

    """
    slope = rate * OBJECT_RADIUS
    across = [(slope * x) ** n / factorial(n) for n in range(DEGREE + 1)]
    down = [(slope * y) ** n / factorial(n) for n in range(DEGREE + 1)]
    zero = np.zeros_like(x)
    values, by_x, by_y = [], [], []

    def add(i: int, j: int, factor: Real) -> None:
        values.append(across[i] * down[j] * factor)
        by_x.append(slope * across[i - 1] * down[j] * factor if i else zero)
        by_y.append(slope * across[i] * down[j - 1] * factor if j else zero)

    for degree, n_powers in enumerate(TIME_TERMS):
        for i in range(degree + 1):
            for power in range(n_powers):
                add(i, degree - i, time**power)
    for degree in range(READOUT_DEGREE + 1):
        for i in range(degree + 1):
            add(i, degree - i, along)
    a, by_x_of_a, by_y_of_a = (np.stack(terms, axis=-1).reshape(x.size, -1) for terms in (values, by_x, by_y))
    return a, by_x_of_a, by_y_of_a


def _disagreement(parts: list[_Normal], variance: Real, prior: Real) -> float:
    """How much more the estimates of single blocks differ than their residuals let expect: a variance ratio."""
    changes = [np.linalg.solve(p.matrix / v + prior, p.vector / v)[:3] for p, v in zip(parts, variance, strict=True)]
    inverse = [np.linalg.inv(p.matrix / v + prior)[:3, :3] for p, v in zip(parts, variance, strict=True)]
    total = sum(float(c @ np.linalg.solve(i, c)) for c, i in zip(changes, inverse, strict=True))
    return total / (3 * (len(parts) - 1))
