"""The scan: golden-angle k-space of a phantom, with the contrast that the sequence has at every single spoke."""

from collections.abc import Callable

import finufft
import numpy as np
from numpy.typing import NDArray

from simulator.phantoms import Phantom
from simulator.sequence import Sequence
from simulator.signal import FAT_T2_MS, WATER_T2_MS, FatModel, pool_signal
from simulator.trajectory import golden_angles, radial_spokes

__all__ = ["acquire"]

Real = NDArray[np.float64]
Complex = NDArray[np.complex64]

RANK_TOLERANCE = 1e-6
"""Temporal singular values below this share of the largest are dropped."""
NUFFT_TOLERANCE = 1e-6
CHUNK = 4096
"""Voxels whose signal is computed at once."""


def acquire(
    phantom: Phantom,
    sensitivities: Complex,
    sequence: Sequence,
    n_samples: int,
    center_sample: float,
    oversampling: float,
    dwell_us: float,
    progress: Callable[[float], object] | None = None,
    threads: int = 2,
) -> Complex:
    """Noise-free k-space: s(k) = sum over pixels of c(r) rho(r) signal(r, spoke) exp(-2 pi i k.r).

    r counts in fields of view from pixel n//2, k in cycles per field of view. Signal as in `simulator.signal`,
    exact at every spoke; off-resonance turns the phase by deltaf TE; the fat spectrum evolves during the readout,
    F(TE + t) with t = 0 at `center_sample`, so that fat is blurred as on a scanner. Off-resonance during the
    readout is not modelled: its phase stays that of the echo time.

    Within one echo time the signals of a pool (water or fat) over all T1 and B1 span few dimensions. So the
    images of those dimensions are transformed once to all spokes of that echo time, and weighed per spoke in
    k-space: exact up to `RANK_TOLERANCE` and `NUFFT_TOLERANCE`.

    Args:
        phantom: maps (y, x).
        sensitivities: (coils, y, x).
        sequence: one spoke per excitation, spoke j at j golden angles.
        n_samples: per spoke.
        center_sample: the sample at k = 0.
        oversampling: samples are 1/oversampling cycles per field of view apart.
        dwell_us: time between samples.
        progress: told the share of the work that has just been done, adding up to 1.
        threads: of the NUFFT.

    Returns:
        (coils, spokes, samples)

    Raises ValueError when sensitivities and phantom differ in shape.

    """
    if sensitivities.ndim != 3 or sensitivities.shape[1:] != phantom.pd.shape:
        raise ValueError(f"Sensitivities {sensitivities.shape} do not fit a phantom of {phantom.pd.shape} pixels.")
    k = radial_spokes(golden_angles(np.arange(len(sequence))), n_samples, center_sample, oversampling)
    kspace = np.zeros((len(sensitivities), len(sequence), n_samples), np.complex64)
    readout_ms = (np.arange(n_samples) - center_sample) * dwell_us * 1e-3
    tissue = phantom.pd > 0
    if not tissue.any():
        return kspace
    pd, ff, b1, deltaf = (getattr(phantom, name)[tissue].astype(float) for name in ("pd", "ff", "b1", "deltaf"))
    water = _compress(sequence, pd * (1 - ff), phantom.t1h2o[tissue], b1, WATER_T2_MS)
    fat = _compress(sequence, pd * ff, phantom.t1fat[tissue], b1, FAT_T2_MS)
    for group, te_ms in enumerate(sequence.echo_times_ms):
        spokes = np.flatnonzero(sequence.echo_group == group)
        transform = _coil_transform(k[spokes], sensitivities, threads)
        phase = np.exp(-2j * np.pi * deltaf * te_ms * 1e-3)
        spectrum = FatModel().phasor(te_ms + readout_ms)
        terms = [(*term, np.ones_like(spectrum)) for term in water[group]]
        terms += [(*term, spectrum) for term in fat[group]]
        for coefficient, train, evolution in terms:
            image = np.zeros(tissue.shape, np.complex64)
            image[tissue] = coefficient * phase
            kspace[:, spokes] += transform(image) * np.outer(train, evolution).astype(np.complex64)
            if progress:
                progress(spokes.size / len(sequence) / len(terms))
    return kspace


def _compress(
    sequence: Sequence, density: Real, t1_ms: NDArray[np.float32], b1: Real, t2_ms: float
) -> list[list[tuple[Real, Real]]]:
    """One pool's signal as a short sum, per echo time: terms of an image (voxels,) and a train (spokes of that echo).

    The trains are the singular vectors of signals on a grid over the voxels' T1 and B1; the images are the
    projections of every voxel's own signal.
    """
    t1 = np.where(density > 0, t1_ms, np.max(t1_ms, initial=1, where=density > 0))  # an empty pool may have no T1
    grid_t1, grid_b1 = np.geomspace(t1.min(), t1.max(), 24), np.linspace(b1.min(), b1.max(), 12)
    atoms = pool_signal(sequence, grid_t1[:, None], grid_b1, t2_ms).reshape(-1, len(sequence))
    groups = [np.flatnonzero(sequence.echo_group == g) for g in range(len(sequence.echo_times_ms))]
    bases = []
    for spokes in groups:
        _, singular, trains = np.linalg.svd(atoms[:, spokes], full_matrices=False)
        bases.append(trains[singular > RANK_TOLERANCE * singular[0]])
    images = [np.empty((len(basis), density.size)) for basis in bases]
    for start in range(0, density.size, CHUNK):
        part = slice(start, start + CHUNK)
        signal = pool_signal(sequence, t1[part], b1[part], t2_ms) * density[part, None]
        for image, basis, spokes in zip(images, bases, groups, strict=True):
            image[:, part] = basis @ signal[:, spokes].T
    return [list(zip(image, basis, strict=True)) for image, basis in zip(images, bases, strict=True)]


def _coil_transform(k: Real, sensitivities: Complex, threads: int) -> Callable[[Complex], Complex]:
    """Image (y, x) -> what every coil receives at k (spokes, samples, 2): (coils, spokes, samples)."""
    n_coils, *shape = sensitivities.shape
    plan = finufft.Plan(
        2, tuple(shape), n_coils, NUFFT_TOLERANCE, -1, dtype="complex64", nthreads=threads, upsampfac=2.0
    )
    kx, ky = k.reshape(-1, 2).T
    plan.setpts(*((2 * np.pi / n * component).astype(np.float32) for n, component in zip(shape, (ky, kx), strict=True)))
    return lambda image: plan.execute(sensitivities * image).reshape(n_coils, *k.shape[:2])
