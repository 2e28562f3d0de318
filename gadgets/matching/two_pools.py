"""Search for the best mixture of one water and one fat atom over all off-resonances, exact thanks to upper bounds.

The model of a voxel's coefficients y is rho exp(i phi) D(deltaf) [(1 - FF) w + FF f]; D is one phase per echo time.
For given atoms and off-resonance the best rho, phi and FF are closed-form: the largest generalised eigenvalue of
M = [[|cw|², r], [r, |cf|²]] over G = [[|w|², s], [s, |f|²]], where cw = <D w, y>, cf = <D f, y>, r = Re(cw conj cf),
s = Re<w, f>. If the elements of its eigenvector have different signs, FF is 0 or 1, and one pool alone is best. This
is the two-component matching of Slioussarenko et al. 2024 (doi 10.1002/mrm.29901) in another form.

The result is the maximum over all combinations of the grid, but most combinations are never computed. For one B1, the
energy that *any* real combination of all atoms explains, with the best common phase, is an upper bound of the energy
of the best pair. It is (sum |c_k|² + |sum c_k²|) / 2, where c are the coefficients in an orthonormal basis of the real
span of the atoms. As a function of deltaf this is a trigonometric polynomial in the few echo times, so that it costs
almost nothing. About 20 of 375 (B1, deltaf) cells per voxel remain. Their pairs are compared, without a square root,
with the best energy found so far, and the few that reach it are evaluated in float64.

Maps that are refined afterwards need no more than a mixture near the best one. For them, the remaining cells are
searched on a thinned grid only, and the most promising one on the whole grid.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.matching.mixture import mixture_energy, mixture_fraction, power
from spokestream.gadgets.matching.spans import group_basis, real_span
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.water_fat import WaterFatDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["CHUNK", "MOST_ECHO_TIMES", "TwoPoolAtoms", "inner_products", "match_two_pools", "mix", "reduced"]

SPAN_TOLERANCE = 3e-4
"""Relative amplitude of an atom that may be lost in the basis of the bound; the bound is increased accordingly."""
ROUNDING = 1e-5
"""Relative allowance for rounding errors of single precision in the bound."""
PROMISING_CELLS = 6
"""Number of (B1, deltaf) cells that are searched first, to find an energy that other cells must reach."""
CHUNK = 2048
"""Number of voxels that are searched at once; it limits the memory."""
CUDA_CHUNK = 2**15
"""The same number on a CUDA device, whose many processors need more work at once."""
FEWEST = 8, 2
"""Numbers of values of water T1 and fat T1 that a thinned grid has at least, if the grid has as many."""
MOST_CELLS = 100
"""Number of cells per voxel, of 375, that may remain after the promising ones. If more remain in the mean of a full
chunk, its signal is not that of tissue, and voxels with more remaining cells are searched in the promising cells only.
A thigh with noise of 0.2 of the mean frame has 24 in the mean, noise has 370."""
MOST_ECHO_TIMES = 16
"""Largest number of echo times, because the bound has a term for every pair of them."""


class TwoPoolAtoms:
    """A dictionary in a temporal basis, and what the search, exact or not, computes once; K images, G echo times."""

    def __init__(
        self, dictionary: WaterFatDictionary, basis: TemporalBasis, device: str = "cpu", *, exact: bool = True
    ) -> None:
        self.dictionary = dictionary
        self.exact = exact
        self.device = device
        _, deltaf_hz, _, _ = dictionary.axes.values()
        echo_ms, group = np.unique(basis.te_ms, return_inverse=True)
        water, fat = (basis.project(pool) / basis.noise for pool in (dictionary.water, dictionary.fat))
        reduction = group_basis(np.vstack([water.reshape(-1, water.shape[-1]), fat.reshape(-1, fat.shape[-1])]), group)
        self.reduction = torch.tensor(reduction / basis.noise[:, None], device=device)
        """(K, R): divides by the noise and projects on the R dimensions of all atoms, about 30 if K is 175."""
        self.noise = torch.tensor(basis.noise, device=device)
        support = np.abs(reduction) > 0
        self.group = torch.tensor(group[support.argmax(axis=0)], device=device)
        phasor = dictionary.spectrum.phasor(echo_ms)
        phase = np.exp(2j * np.pi * deltaf_hz[:, None] * echo_ms * 1e-3)
        self.water = torch.tensor(water @ reduction, device=device)
        """(B1, T1w, R) real"""
        self.fat = torch.tensor((fat @ reduction) * phasor[self.group.cpu().numpy()], device=device)
        """(B1, T1f, R) complex"""
        self.demodulation = torch.tensor(phase, device=device)
        """(deltaf, G) factors that remove the phase of off-resonance from the data."""
        self.water_norm = self.water.square().sum(-1)
        self.fat_norm = self.fat.abs().square().sum(-1)
        self.overlap = torch.einsum("bwr,bfr->bwf", self.water, self.fat.real)
        spans = [
            real_span(torch.cat([w.to(f.dtype), f]), SPAN_TOLERANCE) for w, f in zip(self.water, self.fat, strict=True)
        ]
        d = max(len(q) for q in spans)
        self.span = torch.stack([torch.nn.functional.pad(q, (0, 0, 0, d - len(q))) for q in spans])
        """(B1, d, R) complex: for every B1 an orthonormal basis, in Re<.,.>, of the real span of its atoms."""
        cosine = self.overlap / (self.water_norm[:, :, None] * self.fat_norm[:, None, :]).sqrt()
        # |a w + b f| >= sqrt((1 + cos) / 2) (a |w| + b |f|) for a, b >= 0 limits the part of a mixture outside the span
        missed = SPAN_TOLERANCE * (2 / (1 + cosine.min())).sqrt().item()
        self.slack = 2 * missed + ROUNDING

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Search these atoms; see `match_two_pools`."""
        if self.device == "cpu":
            return match_two_pools(y, self, threads, cancellation=cancellation)
        return match_two_pools(y, self, 1, CUDA_CHUNK, cancellation)


def match_two_pools(
    y: Tensor,
    atoms: TwoPoolAtoms,
    threads: int = 1,
    chunk: int = CHUNK,
    cancellation: Cancellation | None = None,
) -> Match:
    """Find the combination of the grid that explains most energy.

    It is one near the best if `atoms.exact` is False, and in voxels whose search `MOST_CELLS` limits.

    Args:
        y: (voxels, K) complex coefficients.
        atoms: the atoms in the temporal basis of the coefficients, on the device where the search runs.
        threads: CPU threads; the result does not depend on their number.
        chunk: number of voxels that are searched at once.
        cancellation: the sign to stop, which is looked at before every B1 of every chunk.

    Raises:
        ValueError: if a coefficient is not finite.
        CancelledScanError: if the search was cancelled.

    """
    with workers(threads) as pool:
        search = partial(_search, atoms=atoms, sign=cancellation or Cancellation())
        parts = list(pool.map(search, torch.split(y.to(atoms.device), chunk)))
    index, ff, rho, correlation, limited = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    axes = atoms.dictionary.axes
    places = np.unravel_index(index, tuple(len(axis) for axis in axes.values()))
    return Match(dict(zip(axes, places, strict=True)), ff, rho, correlation, int(limited.sum()))


def _search(y: Tensor, atoms: TwoPoolAtoms, sign: Cancellation) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    sign.check()
    z, norm = reduced(y, atoms)
    bound = _cell_bound(z.to(torch.complex64), atoms)
    cell, limited = _promising_cell(z, bound, atoms, sign)
    energy, index = _best_of_cell(z, cell, atoms, sign)
    if atoms.exact:
        reached = energy * (1 - ROUNDING)
        alive = (bound + atoms.slack >= reached[:, None, None]) & (cell | ~limited[:, None, None])
        energy, index = _best_of_all(z, alive, reached, atoms, sign)
    ff, rho, _ = mix(z, index, atoms)
    return index, ff, rho * norm, energy.double().clamp(0, 1).sqrt(), limited


def reduced(y: Tensor, atoms: TwoPoolAtoms) -> tuple[Tensor, Tensor]:
    """Voxels (voxels, R) of norm 1 in the dimensions of the atoms, complex128, and their norm (voxels,).

    The part of the data outside the span of the atoms cannot be matched and is left out. Raises ValueError if a
    coefficient is not finite.
    """
    if not bool(torch.isfinite(torch.view_as_real(y)).all()):
        raise ValueError("fingerprints must be finite")
    white = y.to(torch.complex128) / atoms.noise
    norm = power(white).sum(-1).sqrt()
    z = (y / norm.clamp(min=torch.finfo(norm.dtype).tiny)[:, None]) @ atoms.reduction.to(torch.complex128)
    return z, norm


def _cell_bound(z: Tensor, atoms: TwoPoolAtoms) -> Tensor:
    """The upper bound of the energy (voxels, B1, deltaf), computed as a trigonometric polynomial in deltaf."""
    n_groups = atoms.demodulation.shape[1]
    phase = atoms.demodulation.to(z.dtype)
    span = atoms.span.to(z.dtype).conj()
    parts = []
    for g in range(n_groups):
        held = atoms.group == g
        parts.append((z[:, held] @ span[:, :, held].flatten(0, 1).T).reshape(-1, *span.shape[:2]))
    power, phase_power, square, phase_square = [], [], [], []
    for g in range(n_groups):
        for h in range(g, n_groups):
            twice = 1 if g == h else 2
            power.append((parts[g] * parts[h].conj()).sum(-1))
            phase_power.append(twice * phase[:, g] * phase[:, h].conj())
            square.append((parts[g] * parts[h]).sum(-1))
            phase_square.append(twice * phase[:, g] * phase[:, h])
    p, pp = torch.stack(power, -1), torch.stack(phase_power)
    real = torch.cat([p.real, p.imag], -1) @ torch.cat([pp.real, -pp.imag])
    return 0.5 * (real + (torch.stack(square, -1) @ torch.stack(phase_square)).abs())


def _promising_cell(z: Tensor, bound: Tensor, atoms: TwoPoolAtoms, sign: Cancellation) -> tuple[Tensor, Tensor]:
    """The mask (voxels, B1, deltaf) of the most promising cell of every voxel, and the limited voxels (voxels,).

    It is that of the best pair of thinned grids, which are searched in all cells that are not excluded. Limited voxels
    (see `MOST_CELLS`) are searched in the cells with the largest bounds only.
    """
    largest = bound.flatten(1).topk(min(PROMISING_CELLS, bound.shape[1] * bound.shape[2])).indices
    cells = torch.zeros_like(bound, dtype=torch.bool)
    cells.flatten(1).scatter_(1, largest, True)
    tried = _thinned(z, cells, torch.zeros_like(bound), (6, 2), atoms, sign)
    remaining = bound + atoms.slack >= tried.amax((1, 2), keepdim=True) * (1 - ROUNDING)
    limited = _limited(remaining.sum((1, 2)))
    tried = _thinned(z, torch.where(limited[:, None, None], cells, remaining), tried, (12, 3), atoms, sign)
    best = tried.flatten(1).argmax(1)
    return torch.zeros_like(cells).flatten(1).scatter_(1, best[:, None], True).view_as(cells), limited


def _limited(cells: Tensor) -> Tensor:
    """The voxels whose search is limited, from the number of cells (voxels,) that bounds do not exclude."""
    return (cells > MOST_CELLS) & (cells.sum() > MOST_CELLS * max(CHUNK, len(cells)))


def _thinned(
    z: Tensor, cells: Tensor, tried: Tensor, steps: tuple[int, int], atoms: TwoPoolAtoms, sign: Cancellation
) -> Tensor:
    """The energies (voxels, B1, deltaf) of the best pairs so far, after a search of thinned grids in some cells."""
    water, fat = (max(1, min(k, n // few)) for k, n, few in zip(steps, atoms.overlap.shape[1:], FEWEST, strict=True))
    for b in range(len(atoms.water)):
        sign.check()
        voxel, deltaf = cells[:, b].nonzero().T
        energy = _energies(z[voxel], b, deltaf, atoms, water, fat).flatten(0, 1).amax(0)
        tried[voxel, b, deltaf] = torch.maximum(tried[voxel, b, deltaf], energy)
    return tried


def _best_of_cell(z: Tensor, cell: Tensor, atoms: TwoPoolAtoms, sign: Cancellation) -> tuple[Tensor, Tensor]:
    """The energy and the grid index (voxels,) of the best pair in one cell of every voxel, in single precision."""
    best = torch.zeros(len(z), device=z.device)
    index = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    for b in range(len(atoms.water)):
        sign.check()
        voxel, deltaf = cell[:, b].nonzero().T
        best[voxel], pair = _energies(z[voxel], b, deltaf, atoms).flatten(0, 1).max(0)
        index[voxel] = _index(b, deltaf, pair, atoms)
    return best, index


def _energies(z: Tensor, b: int, deltaf: Tensor, atoms: TwoPoolAtoms, water_step: int = 1, fat_step: int = 1) -> Tensor:
    """The energies (T1w, T1f, rows) of all pairs of a grid at each row's off-resonance, in single precision."""
    cw, cf = inner_products(z, b, deltaf, atoms, water_step, fat_step)
    return mixture_energy(
        cw[:, None], cf[None],
        atoms.water_norm[b, ::water_step, None, None].float(), atoms.fat_norm[b, ::fat_step, None].float(),
        atoms.overlap[b, ::water_step, ::fat_step, None].float(),
    )  # fmt: skip


def _best_of_all(
    z: Tensor, alive: Tensor, reached: Tensor, atoms: TwoPoolAtoms, sign: Cancellation
) -> tuple[Tensor, Tensor]:
    """The energy and the grid index (voxels,) of the best pair in cells (voxels, B1, deltaf) that reaches an energy."""
    best = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    index = torch.full((len(z),), torch.iinfo(torch.int64).max, device=z.device)
    candidates = []
    for b in range(len(atoms.water)):
        sign.check()
        candidates.append(_evaluate(z, b, alive[:, b].nonzero(), reached, atoms))
    voxel, energy, place = (torch.cat(column) for column in zip(*candidates, strict=True))
    best.scatter_reduce_(0, voxel, energy, "amax")
    winner = energy == best[voxel]
    index.scatter_reduce_(0, voxel[winner], place[winner], "amin")  # of equal ones, the first of the grid
    return best, index


def _evaluate(z: Tensor, b: int, rows: Tensor, reached: Tensor, atoms: TwoPoolAtoms) -> tuple[Tensor, Tensor, Tensor]:
    """Voxel, energy and grid index of every pair of atoms that can be the best in these rows (voxel, deltaf)."""
    voxel, deltaf = rows.T
    w, f, row = _pairs_that_reach(reached[voxel], *inner_products(z[voxel], b, deltaf, atoms), b, atoms)
    voxel, deltaf = voxel[row], deltaf[row]
    demodulated = _demodulated(z[voxel], deltaf, atoms)
    energy = mixture_energy(
        (demodulated * atoms.water[b, w]).sum(-1), (demodulated * atoms.fat[b, f].conj()).sum(-1),
        atoms.water_norm[b, w], atoms.fat_norm[b, f], atoms.overlap[b, w, f],
    )  # fmt: skip
    return voxel, energy, _index(b, deltaf, w * atoms.fat.shape[1] + f, atoms)


def _index(b: int, deltaf: Tensor, pair: Tensor, atoms: TwoPoolAtoms) -> Tensor:
    """The number on the grid of a pair of atoms, which are counted over T1w and T1f, in a cell (B1, deltaf)."""
    return (b * len(atoms.demodulation) + deltaf) * (atoms.water.shape[1] * atoms.fat.shape[1]) + pair


def _pairs_that_reach(t: Tensor, cw: Tensor, cf: Tensor, b: int, atoms: TwoPoolAtoms) -> Tensor:
    """Water atom, fat atom and row (3, pairs) where a mixture of non-negative amplitudes reaches the energy t (rows,).

    A mixture reaches it unless x' (M - t G) x < 0 for all x >= 0. The off-diagonal element counts only if it is
    positive. Most of the time is spent here, so that there is no square root and no division.
    """
    norm_w, norm_f, overlap = (x[b].float() for x in (atoms.water_norm, atoms.fat_norm, atoms.overlap))
    less_w = (torch.outer(norm_w, t) - power(cw)).clamp_(min=0)
    real, imag = cw.real.contiguous(), cw.imag.contiguous()  # strided arrays take twice the time
    found = []
    for f, y in enumerate(cf):
        less_f = (t * norm_f[f] - power(y)).clamp_(min=0)
        mixed = torch.outer(-overlap[:, f], t).addcmul_(real, y.real).addcmul_(imag, y.imag).clamp_(min=0)
        w, row = (mixed.square_() >= less_w * less_f).nonzero().T
        found.append(torch.stack([w, torch.full_like(w, f), row]))
    return torch.cat(found, 1)


def inner_products(
    z: Tensor, b: int, deltaf: Tensor, atoms: TwoPoolAtoms, water_step: int = 1, fat_step: int = 1
) -> tuple[Tensor, Tensor]:
    """<D w, y> (T1w, rows) and <D f, y> (T1f, rows) at each row's off-resonance, in single precision."""
    demodulated = _demodulated(z, deltaf, atoms).T.to(torch.complex64)
    water, fat = atoms.water[b, ::water_step], atoms.fat[b, ::fat_step].conj()
    return water.to(demodulated.dtype) @ demodulated, fat.to(demodulated.dtype) @ demodulated


def _demodulated(z: Tensor, deltaf: Tensor, atoms: TwoPoolAtoms) -> Tensor:
    """The data (rows, R) without the phase of off-resonance."""
    return z * atoms.demodulation[deltaf][:, atoms.group]


def mix(z: Tensor, index: Tensor, atoms: TwoPoolAtoms) -> tuple[Tensor, Tensor, Tensor]:
    """Fat fraction, complex proton density and energy (voxels,) of the combinations with these numbers on the grid."""
    n_deltaf, n_water, n_fat = len(atoms.demodulation), atoms.water.shape[1], atoms.fat.shape[1]
    f, w = index % n_fat, index // n_fat % n_water
    deltaf, b = index // (n_fat * n_water) % n_deltaf, index // (n_fat * n_water * n_deltaf)
    demodulated = _demodulated(z, deltaf, atoms)
    water, fat = atoms.water[b, w].to(z.dtype), atoms.fat[b, f]
    cw, cf = (water * demodulated).sum(-1), (fat.conj() * demodulated).sum(-1)
    ff = mixture_fraction(cw, cf, atoms.water_norm[b, w], atoms.fat_norm[b, f], atoms.overlap[b, w, f])
    model = (1 - ff)[:, None] * water + ff[:, None] * fat
    found, norm = (model.conj() * demodulated).sum(-1), power(model).sum(-1)
    return ff, found / norm, power(found) / norm
