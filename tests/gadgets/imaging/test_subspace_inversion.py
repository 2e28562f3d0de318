"""Low-rank inversion against the same equations as matrices, with exact sums instead of a NUFFT."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import cg
from small_scan import complex_normal

from spokestream.gadgets.imaging.low_rank import EXPONENT, echo_times
from spokestream.gadgets.imaging.point_spread import PointSpread
from spokestream.gadgets.imaging.radial_grid import ramp_density
from spokestream.gadgets.imaging.subspace_inversion import (
    ITERATIONS,
    SubspaceOperator,
    conjugate_gradients,
    inverted,
)
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

MATRIX = (9, 12)
FRAMES, SPOKES, COILS = 8, 3, 2
TOLERANCE = 1e-5


def trajectory():
    angles = golden_angles(np.arange(FRAMES * SPOKES)).reshape(FRAMES, SPOKES)
    return np.stack([radial_spokes(a, 26, 12.0, 2.0) for a in angles]).astype(np.float32)


def transform(k):
    """The matrix (samples, pixels) of the exact forward transform of one frame."""
    y, x = (np.arange(n) - n // 2 for n in MATRIX)
    ky, kx = k.reshape(-1, 2)[:, 1], k.reshape(-1, 2)[:, 0]
    along_y = np.exp(-2j * np.pi * np.outer(ky, y / MATRIX[0]))
    along_x = np.exp(-2j * np.pi * np.outer(kx, x / MATRIX[1]))
    return np.einsum("sy,sx->syx", along_y, along_x).reshape(len(ky), -1)


@pytest.fixture
def problem(rng):
    """The groups, and the weighted encoding matrix (coils x frames x samples, images x pixels)."""
    first, second = np.arange(FRAMES) < 5, np.arange(FRAMES) >= 5
    vectors = np.zeros((FRAMES, 3), np.float32)
    vectors[first, :2] = np.linalg.qr(rng.standard_normal((5, 2)))[0]
    vectors[second, 2:] = np.linalg.qr(rng.standard_normal((3, 1)))[0]
    noise = rng.uniform(0.5, 2, FRAMES).astype(np.float32)
    basis = TemporalBasis(vectors / noise[:, None], np.array([2.0, 2.0, 3.0]), SPOKES, np.ones(3, np.float32))
    k, sensitivities = trajectory(), complex_normal(rng, COILS, *MATRIX)
    sensitivities /= np.linalg.norm(sensitivities, axis=0)
    rows = []
    for coil in sensitivities:
        for f in range(FRAMES):
            seen = np.sqrt(ramp_density(k[f]).reshape(-1, 1)) * transform(k[f]) * coil.ravel()
            rows.append(np.kron(vectors[f], seen))
    matrix = np.concatenate(rows) / np.sqrt(MATRIX[0] * MATRIX[1])
    return basis, noise, k, sensitivities, matrix


def groups_of(problem):
    """The echo times, with atoms that nearly all lie in the first of the two coefficients of the first one."""
    basis, noise, *_ = problem
    rng = np.random.default_rng(5)
    coefficients = rng.standard_normal((200, 3)) * [1, 0.05, 0.6]
    frames = (coefficients @ (basis.weights * noise[:, None]).T) * noise
    return echo_times(basis, noise, np.repeat(frames, SPOKES, axis=1))


def operator(problem, box=(slice(None), slice(None)), support=None, threads=2):
    _, _, k, sensitivities, _ = problem
    groups = groups_of(problem)
    spread = spread_of(groups, k, range(FRAMES))
    sensitivities = torch.from_numpy(np.ascontiguousarray(sensitivities[:, *box]))
    shape = tuple(sensitivities.shape[1:])
    support = torch.ones(shape, dtype=torch.bool) if support is None else support
    pool = ThreadPoolExecutor(threads)
    return SubspaceOperator(groups, spread.spectra(shape, pool), sensitivities, support, pool)


def test_the_operator_is_that_of_the_normal_equations(problem, rng):
    matrix = problem[-1]
    x = complex_normal(rng, 3, *MATRIX)
    expected = (matrix.conj().T @ (matrix @ x.ravel())).reshape(x.shape)
    found = operator(problem)(torch.from_numpy(x)).numpy()
    assert np.linalg.norm(found - expected) < 10 * TOLERANCE * np.linalg.norm(expected)


def test_frames_are_added_in_any_number_of_parts(problem, rng, monkeypatch):
    x = torch.from_numpy(complex_normal(rng, 3, *MATRIX))
    together = operator(problem)(x)
    monkeypatch.setattr("spokestream.gadgets.imaging.point_spread.PENDING", 3)
    assert torch.allclose(operator(problem)(x), together, atol=1e-5 * float(together.abs().max()))


def test_in_a_box_the_operator_is_the_part_of_the_whole_one(problem, rng):
    box = slice(2, 7), slice(3, 11)
    x = np.zeros((3, *MATRIX), np.complex64)
    x[:, *box] = complex_normal(rng, 3, 5, 8)
    whole = operator(problem)(torch.from_numpy(x)).numpy()[:, *box]
    part = operator(problem, box)(torch.from_numpy(np.ascontiguousarray(x[:, *box]))).numpy()
    assert np.linalg.norm(part - whole) < 10 * TOLERANCE * np.linalg.norm(whole)


def test_nothing_outside_the_support_is_seen(problem, rng):
    support = torch.from_numpy(rng.uniform(size=MATRIX) < 0.5)
    x = torch.from_numpy(complex_normal(rng, 3, *MATRIX))
    found = operator(problem, support=support)(x)
    assert not found[:, ~support].any()
    assert torch.allclose(found, operator(problem, support=support)(x * support))


def test_samples_of_images_in_the_basis_give_the_images_back(problem, rng):
    """Three coefficients of eight frames of three spokes: more equations than unknowns, without noise."""
    matrix = problem[-1]
    true = complex_normal(rng, 3, *MATRIX)
    right = (matrix.conj().T @ (matrix @ true.ravel())).reshape(true.shape).astype(np.complex64)
    seen = []
    found = conjugate_gradients(operator(problem), torch.from_numpy(right), 60, seen.append).numpy()
    exact = np.linalg.lstsq(matrix.conj().T @ matrix, right.ravel(), rcond=1e-6)[0].reshape(true.shape)
    assert np.linalg.norm(matrix @ (found - exact).ravel()) < 1e-3 * np.linalg.norm(matrix @ true.ravel())
    assert seen == list(range(1, len(seen) + 1))


def test_bits_do_not_depend_on_the_number_of_threads(problem, rng):
    x = torch.from_numpy(complex_normal(rng, 3, *MATRIX))
    assert torch.equal(operator(problem, threads=1)(x), operator(problem, threads=3)(x))


def test_the_vectors_are_orthonormal_and_belong_to_one_echo_time(problem):
    groups = groups_of(problem)
    assert [group.images for group in groups] == [slice(0, 2), slice(2, 3)]
    for group in groups:
        np.testing.assert_allclose(group.vectors.T @ group.vectors, np.eye(group.vectors.shape[1]), atol=1e-6)
    assert groups[0].pairs == [(0, 0), (0, 1), (1, 1)]


def test_the_prior_is_a_power_of_the_covariance_of_atoms_of_norm_1(problem):
    basis, noise, *_ = problem
    chosen = np.array([[3.0, 0, 0], [0, 4, 0], [0, 0, 5], [3, 0, 4]])  # (atoms, coefficients)
    frames = (chosen @ (basis.weights * noise[:, None]).T) * noise
    atoms = np.repeat(frames, SPOKES, axis=1)
    first, second = echo_times(basis, noise, atoms)
    np.testing.assert_allclose(first.prior, np.diag([1, (1 / 1.36) ** EXPONENT]), atol=1e-6)
    np.testing.assert_allclose(second.prior, [[1]], atol=1e-6)
    assert [group.prior for group in echo_times(basis, noise)] == [None, None]


def test_without_a_prior_the_iterations_are_those_of_the_normal_equations(problem):
    basis, noise, k, sensitivities, matrix = problem
    true = complex_normal(np.random.default_rng(6), matrix.shape[1])
    right = matrix.conj().T @ (matrix @ true)
    expected = cg(matrix.conj().T @ matrix, right, maxiter=ITERATIONS, rtol=0)[0]
    found = inverted(
        right.reshape(3, *MATRIX).astype(np.complex64), spread_of(echo_times(basis, noise), k, range(FRAMES)),
        torch.from_numpy(sensitivities.astype(np.complex64)), np.ones(MATRIX, bool), FRAMES * SPOKES,
        ThreadPoolExecutor(2),
    ).ravel()  # fmt: skip
    assert np.linalg.norm(found - expected) < 100 * TOLERANCE * ITERATIONS * np.linalg.norm(expected)


def spread_of(groups, k, frames):
    spread = PointSpread(MATRIX, groups, TOLERANCE)
    for frame in frames:
        spread.add(frame, k[frame], ramp_density(k[frame]))
    return spread


@pytest.mark.parametrize(
    ("n_spokes", "regularisation", "iterations"), [(576, 0.01, 12), (2304, 0.0025, 24), (144, 0.04, 6)]
)
def test_what_few_spokes_leave_open_is_explained_as_the_atoms_make_it_likely(
    problem, n_spokes, regularisation, iterations
):
    """Four frames see less than three coefficients; the iterations are those of scipy for c = R u, in matrices."""
    _, _, k, sensitivities, matrix = problem
    groups, frames = groups_of(problem), [0, 2, 4, 6]
    seen = matrix[np.isin(np.arange(len(matrix)) // (SPOKES * 26) % FRAMES, frames)]
    root = np.zeros((3, 3))
    for group in groups:
        root[group.images, group.images] = group.prior
    root = np.kron(root, np.eye(MATRIX[0] * MATRIX[1]))
    true = root @ root @ complex_normal(np.random.default_rng(6), root.shape[1])  # of the covariance
    right = seen.conj().T @ (seen @ true)
    regularised = root @ seen.conj().T @ seen @ root + regularisation * np.eye(len(root))
    expected = root @ cg(regularised, root @ right, maxiter=iterations, rtol=0)[0]
    without = cg(seen.conj().T @ seen, right, maxiter=iterations, rtol=0)[0]

    spread = spread_of(groups, k, frames)
    maps = torch.from_numpy(sensitivities.astype(np.complex64))
    images = right.reshape(3, *MATRIX).astype(np.complex64)
    found = inverted(images, spread, maps, np.ones(MATRIX, bool), n_spokes, ThreadPoolExecutor(2)).ravel()
    # the error of the kernel and of single precision, amplified by the iterations
    assert np.linalg.norm(found - expected) < 100 * TOLERANCE * iterations * np.linalg.norm(expected)
    assert np.linalg.norm(found - true) < np.linalg.norm(without - true)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_inverts_as_the_cpu_does(problem, rng):
    _, _, k, sensitivities, _ = problem
    tissue = np.zeros(MATRIX, bool)
    tissue[2:8, 3:9] = True
    adjoint = complex_normal(rng, 3, *MATRIX).astype(np.complex64)

    def on(device):
        spread = spread_of(groups_of(problem), k, range(FRAMES))
        maps = torch.from_numpy(sensitivities.astype(np.complex64))
        return inverted(adjoint, spread, maps, tissue, FRAMES * SPOKES, ThreadPoolExecutor(2), device=device)

    expected = on("cpu")
    # rounding errors of 6e-8 in each of twelve iterations, amplified by a condition number of about 100
    assert np.linalg.norm(on("cuda") - expected) < 12 * 6e-8 * 100 * np.linalg.norm(expected)
