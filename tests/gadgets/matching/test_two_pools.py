"""The search with bounds against an exhaustive search over all combinations in double precision."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.matching import two_pools
from spokestream.gadgets.matching.mixture import mixture_energy, mixture_fraction
from spokestream.gadgets.matching.two_pools import TwoPoolAtoms, match_two_pools
from spokestream.gadgets.scan.cancellation import Cancellation, CancelledScanError
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.signal import voxel_signal
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis, frame_means


@pytest.fixture(scope="module")
def dictionary():
    return build_dictionary(load_sequence("t1ff-2d-1400"))


def fingerprints(sequence, n, noise, rng, basis):
    """Coefficients of random voxels with values between those of the grid; `noise` is relative to the mean frame."""
    truth = {
        "ff": rng.uniform(0, 1, n) ** 1.5,
        "t1h2o_ms": rng.uniform(700, 1900, n),
        "t1fat_ms": rng.uniform(240, 390, n),
        "deltaf_hz": rng.uniform(-115, 115, n),
        "b1": rng.uniform(0.35, 1.0, n),
    }
    signal = voxel_signal(sequence, **truth) * np.exp(2j * np.pi * rng.random((n, 1)))
    frames = frame_means(signal.real, 8) + 1j * frame_means(signal.imag, 8)
    frames += (
        noise * np.abs(frames).mean() * (rng.standard_normal(frames.shape) + 1j * rng.standard_normal(frames.shape))
    )
    return truth, (frames @ basis.weights).astype(np.complex64)


def exhaustive(y, dictionary, basis):
    """The combination (b1, deltaf, t1h2o, t1fat) of most energy, found without bounds and without compression."""
    grid = dictionary.grid
    y = y / basis.noise
    water, fat = (basis.project(pool) / basis.noise for pool in (dictionary.water, dictionary.fat))
    fat = fat * dictionary.spectrum.phasor(basis.te_ms)
    phase = np.exp(2j * np.pi * grid.deltaf_hz[:, None] * basis.te_ms * 1e-3)
    best = np.full(len(y), -1.0)
    index = np.zeros(len(y), int)
    for b in range(len(grid.b1)):
        demodulated = y.astype(np.complex128)[:, None] * phase
        cw, cf = demodulated @ water[b].T, demodulated @ fat[b].conj().T
        ww, ff = (water[b] ** 2).sum(1), (np.abs(fat[b]) ** 2).sum(1)
        wf = (fat[b].real @ water[b].T).T
        energy = generalised_eigenvalue(cw[..., None], cf[..., None, :], ww[:, None], ff, wf).reshape(len(y), -1)
        here, place = energy.max(1), energy.argmax(1)
        better = here > best
        best[better], index[better] = here[better], (place + b * energy.shape[1])[better]
    return np.unravel_index(index, tuple(len(a) for a in (grid.b1, grid.deltaf_hz, grid.t1h2o_ms, grid.t1fat_ms)))


def generalised_eigenvalue(cw, cf, ww, ff, wf):
    """The largest energy of: both pools with amplitudes of one sign, water alone, fat alone."""
    m11, m22, r = np.abs(cw) ** 2, np.abs(cf) ** 2, (cw * cf.conj()).real
    a, b, c = ww * ff - wf**2, -(m11 * ff + m22 * ww - 2 * r * wf), m11 * m22 - r**2
    root = (-b + np.sqrt(np.maximum(b * b - 4 * a * c, 0))) / (2 * a)
    same_sign = (r - root * wf) * (root * ww - m11) > 0
    return np.where(same_sign, root, np.maximum(m11 / ww, m22 / ff))


@pytest.mark.parametrize("noise", [0.1, 0.35])
def test_bounded_search_agrees_with_exhaustive_search(dictionary, noise):
    rng = np.random.default_rng(7)
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    n = 500  # for each noise level: 1,000 random voxels in all, of which none may differ
    _, y = fingerprints(dictionary.sequence, n, noise, rng, basis)
    match = match_two_pools(torch.from_numpy(y), TwoPoolAtoms(dictionary, basis), chunk=333)
    b1, deltaf, t1h2o, t1fat = (
        np.concatenate(column)
        for column in zip(*(exhaustive(part, dictionary, basis) for part in np.array_split(y, 40)), strict=True)
    )
    same = (match.index["b1"] == b1) & (match.index["deltaf"] == deltaf)
    # the T1 of an absent pool is not compared
    same &= (match.index["t1h2o"] == t1h2o) | (match.fraction == 1)
    same &= (match.index["t1fat"] == t1fat) | (match.fraction == 0)
    assert same.mean() >= 0.999


def test_frames_and_compressed_basis_agree(dictionary):
    rng = np.random.default_rng(8)
    frames = frame_basis(dictionary.sequence, dictionary.atoms)
    small = compressed_basis(dictionary.sequence, dictionary.atoms, tolerance=1e-10)
    _, y = fingerprints(dictionary.sequence, 300, 0.1, rng, frames)
    a = match_two_pools(torch.from_numpy(y), TwoPoolAtoms(dictionary, frames))
    b = match_two_pools(torch.from_numpy((y @ small.weights).astype(np.complex64)), TwoPoolAtoms(dictionary, small))
    np.testing.assert_allclose(a.fraction, b.fraction, atol=2e-3)
    assert (a.index["b1"] == b.index["b1"]).mean() > 0.99


def test_without_noise_errors_are_those_of_the_grid(dictionary):
    rng = np.random.default_rng(9)
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    truth, y = fingerprints(dictionary.sequence, 400, 0.0, rng, basis)
    match = match_two_pools(torch.from_numpy(y), TwoPoolAtoms(dictionary, basis))
    grid = dictionary.grid
    assert np.abs(grid.deltaf_hz[match.index["deltaf"]] - truth["deltaf_hz"]).max() <= 10  # spacing 10 Hz
    assert np.sqrt(np.mean((grid.b1[match.index["b1"]] - truth["b1"]) ** 2)) < 0.025  # spacing 0.05
    assert np.sqrt(np.mean((match.fraction - truth["ff"]) ** 2)) < 0.015
    assert (match.correlation > 0.998).all()


def test_values_on_the_grid_are_found_exactly(dictionary):
    rng = np.random.default_rng(10)
    grid, n = dictionary.grid, 200
    place = {
        name: rng.integers(len(getattr(grid, name)), size=n) for name in ("t1h2o_ms", "t1fat_ms", "deltaf_hz", "b1")
    }
    ff = rng.uniform(0.1, 0.9, n)
    signal = voxel_signal(dictionary.sequence, ff, **{name: getattr(grid, name)[i] for name, i in place.items()})
    basis = frame_basis(dictionary.sequence)
    frames = 2.5 * np.exp(0.7j) * (frame_means(signal.real, 8) + 1j * frame_means(signal.imag, 8))
    match = match_two_pools(torch.from_numpy(frames), TwoPoolAtoms(dictionary, basis))
    np.testing.assert_array_equal(match.index["t1h2o"], place["t1h2o_ms"])
    np.testing.assert_array_equal(match.index["t1fat"], place["t1fat_ms"])
    np.testing.assert_array_equal(match.index["deltaf"], place["deltaf_hz"])
    np.testing.assert_array_equal(match.index["b1"], place["b1"])
    np.testing.assert_allclose(match.fraction, ff, atol=1e-6)
    np.testing.assert_allclose(match.rho, 2.5 * np.exp(0.7j), rtol=1e-5)


def test_mixture_is_the_maximum_over_fat_fractions(rng):
    """The closed form equals the maximum over a fine grid of FF in [0, 1], for random atoms and data."""
    for _ in range(50):
        w, f = rng.standard_normal((2, 6)), rng.standard_normal((2, 6))
        w, f, y = w[0] + 0j, f[0] + 1j * f[1], rng.standard_normal(6) + 1j * rng.standard_normal(6)
        alpha = np.linspace(0, 1, 20001)[:, None]
        model = (1 - alpha) * w + alpha * f
        energy = np.abs((model.conj() * y).sum(1)) ** 2 / (np.abs(model) ** 2).sum(1)
        arguments = [
            torch.tensor(v) for v in (
                (w.conj() * y).sum(), (f.conj() * y).sum(), (np.abs(w) ** 2).sum(), (np.abs(f) ** 2).sum(),
                (w.conj() * f).sum().real,
            )
        ]  # fmt: skip
        assert mixture_energy(*arguments).item() == pytest.approx(energy.max(), rel=1e-6)
        assert mixture_fraction(*arguments).item() == pytest.approx(alpha[energy.argmax(), 0], abs=1e-3)


@pytest.mark.parametrize("exact", [True, False])
def test_a_coarse_grid_and_a_single_echo_time_work_too(sequence, exact):
    grid = Grid(np.array([800.0, 1400.0]), np.array([300.0]), np.array([0.6, 0.9]), np.array([0.0]))
    dictionary = build_dictionary(sequence, grid)
    basis = frame_basis(sequence)
    y = basis.project(dictionary.water[1, 1])[None].astype(np.complex64)
    match = match_two_pools(torch.from_numpy(y), TwoPoolAtoms(dictionary, basis, exact=exact))
    assert (match.index["b1"][0], match.index["t1h2o"][0], match.fraction[0]) == (1, 1, 0)


def test_a_promising_mixture_explains_nearly_as_much_as_the_best_one(dictionary):
    rng = np.random.default_rng(8)
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    _, y = fingerprints(dictionary.sequence, 500, 0.1, rng, basis)
    exact, promising = (
        match_two_pools(torch.from_numpy(y), TwoPoolAtoms(dictionary, basis, exact=exact)) for exact in (True, False)
    )
    assert (promising.correlation <= exact.correlation * (1 + 1e-6)).all()
    # noise of 0.1 leaves a hundredth of the energy: what the quick search misses is far less
    assert (exact.correlation**2 - promising.correlation**2).max() < 1e-3
    same = promising.index["b1"] == exact.index["b1"]
    assert 0.8 < same.mean() < 1  # it does look at less


def test_a_quick_search_is_the_same_by_any_number_of_threads(dictionary):
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    _, y = fingerprints(dictionary.sequence, 700, 0.2, np.random.default_rng(10), basis)
    atoms = TwoPoolAtoms(dictionary, basis, exact=False)
    one, three = (match_two_pools(torch.from_numpy(y), atoms, threads, chunk=100) for threads in (1, 3))
    np.testing.assert_array_equal(one.rho, three.rho)
    np.testing.assert_array_equal(one.fraction, three.fraction)


@pytest.mark.parametrize("exact", [True, False])
def test_values_that_are_not_finite_are_refused(dictionary, exact):
    basis = frame_basis(dictionary.sequence)
    atoms = TwoPoolAtoms(dictionary, basis, exact=exact)
    y = torch.zeros((2, 175), dtype=torch.complex64)
    assert (match_two_pools(y, atoms).correlation == 0).all()  # a signal of 0 has no match, but is no error
    y[1, 3] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        match_two_pools(y, atoms)


@pytest.mark.parametrize("exact", [True, False])
def test_no_voxel_at_all(dictionary, exact):
    basis = frame_basis(dictionary.sequence)
    match = match_two_pools(torch.zeros((0, 175), dtype=torch.complex64), TwoPoolAtoms(dictionary, basis, exact=exact))
    assert match.fraction.shape == (0,)


def test_frames_that_are_missing_are_missing_from_the_atoms_too(dictionary):
    """Otherwise, 16 missing frames of 175 change a T1 of 1,200 ms to 820 ms, and the correlation is still high."""
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    signal = voxel_signal(dictionary.sequence, [0.3], [1200.0], [300.0], [20.0], [0.8])
    frames = frame_means(signal.real, 8) + 1j * frame_means(signal.imag, 8)
    missing = list(range(17))
    frames[:, missing] = 0
    y = torch.from_numpy((frames @ basis.weights).astype(np.complex64))
    match = match_two_pools(y, TwoPoolAtoms(dictionary, basis.without(missing)))
    assert dictionary.grid.t1h2o_ms[match.index["t1h2o"][0]] == 1200
    assert dictionary.grid.b1[match.index["b1"][0]] == pytest.approx(0.8)
    assert match.fraction[0] == pytest.approx(0.3, abs=1e-3)


def junk(n, k, rng):
    return torch.from_numpy((rng.standard_normal((n, k)) + 1j * rng.standard_normal((n, k))).astype(np.complex64))


def test_junk_is_searched_in_few_cells_and_counted(dictionary, monkeypatch):
    rng = np.random.default_rng(31)
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    rows = []
    evaluate = two_pools._evaluate

    def counting(z, b, some, *rest):
        rows.append(len(some))
        return evaluate(z, b, some, *rest)

    monkeypatch.setattr(two_pools, "_evaluate", counting)
    monkeypatch.setattr(two_pools, "CHUNK", 200)
    atoms = TwoPoolAtoms(dictionary, basis)
    match = match_two_pools(junk(200, len(basis.te_ms), rng), atoms, chunk=200)
    assert match.limited > 190
    assert sum(rows) < 200 + 10 * two_pools.MOST_CELLS  # one cell for a limited voxel
    assert (match.correlation > 0).all()
    assert (match.correlation < 1).all()


def test_the_limit_changes_no_bit_of_tissue_even_with_some_junk(dictionary, monkeypatch):
    rng = np.random.default_rng(32)
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    _, tissue = fingerprints(dictionary.sequence, 180, 0.3, rng, basis)
    y = torch.cat([torch.from_numpy(tissue), junk(20, len(basis.te_ms), rng)])
    atoms = TwoPoolAtoms(dictionary, basis)
    monkeypatch.setattr(two_pools, "CHUNK", 200)
    found = match_two_pools(y, atoms, chunk=200)
    monkeypatch.setattr(two_pools, "MOST_CELLS", 375)
    unlimited = match_two_pools(y, atoms, chunk=200)
    assert found.limited == unlimited.limited == 0
    assert np.array_equal(found.rho, unlimited.rho)
    assert all(np.array_equal(found.index[axis], unlimited.index[axis]) for axis in found.index)


def test_a_cancelled_search_stops_before_its_next_piece(dictionary, monkeypatch):
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    sign, pieces, evaluate = Cancellation(), [], two_pools._evaluate

    def cancelling(z, b, *rest):
        pieces.append(b)
        if len(pieces) == 20:
            sign.cancel()
        return evaluate(z, b, *rest)

    monkeypatch.setattr(two_pools, "_evaluate", cancelling)
    y = junk(600, len(basis.te_ms), np.random.default_rng(33))
    with pytest.raises(CancelledScanError):
        match_two_pools(y, TwoPoolAtoms(dictionary, basis), chunk=100, cancellation=sign)
    assert len(pieces) == 20  # of 6 chunks with 15 values of B1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_finds_what_the_cpu_finds(dictionary):
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    _, y = fingerprints(dictionary.sequence, 5000, 0.2, np.random.default_rng(9), basis)
    expected = TwoPoolAtoms(dictionary, basis).match(torch.from_numpy(y))
    found = TwoPoolAtoms(dictionary, basis, "cuda").match(torch.from_numpy(y))
    # the final comparison is in double precision, so that only exact ties could differ
    for name, places in expected.index.items():
        np.testing.assert_array_equal(found.index[name], places)
    np.testing.assert_allclose(found.rho, expected.rho, rtol=1e-9)
    np.testing.assert_allclose(found.fraction, expected.fraction, atol=1e-9)


@pytest.mark.parametrize("n", [two_pools.CHUNK, 5 * two_pools.CHUNK])
def test_the_search_is_limited_by_the_mean_number_of_cells_whatever_the_number_of_voxels(n):
    usual = torch.full((n,), 24)
    usual[0] = 300
    assert not two_pools._limited(usual).any()
    assert two_pools._limited(torch.full((n,), two_pools.MOST_CELLS + 1)).all()
