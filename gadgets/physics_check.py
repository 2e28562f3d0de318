"""The physics check: whether the maps of a slice explain the measured signal, and whether they can be trusted."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.model_fit.coherent_errors import coherent_errors, wrong_regions
from spokestream.gadgets.model_fit.correction import FEW, contradicted_regions
from spokestream.gadgets.model_fit.misfit import misfit
from spokestream.gadgets.model_fit.own_fit import Equations, normal_equations
from spokestream.gadgets.model_fit.residuals import fit_and_residual, parameter_columns
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.gadgets.quality.image_evidence import ImageEvidence, image_evidence
from spokestream.gadgets.quality.trust import judged_values, properties_at_limits, trust_map
from spokestream.gadgets.quality.verdict import MOST_FLAGGED_BY_NETWORK, UNEXPLAINED_SPOKES, FitEvidence, verdict
from spokestream.gadgets.refinement import Refinement
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["FLAGGED_ABOVE", "PhysicsCheck"]

FLAGGED_ABOVE = 2.0
"""Misfit above which noise and aliasing are no explanation. In true maps, a few percent of voxels exceed it, most of
them at edges."""
CHUNK = 4096
"""Number of voxels that are compared at once."""


class _Fit(NamedTuple):
    """The fit of the maps of a slice to its fingerprints."""

    mask: Mask
    """(y, x) mask of the voxels that were compared."""
    rho: Tensor
    """(voxels,) the complex factor that fits best: proton density times exp(i phase)."""
    residual: Tensor
    """(voxels,) norm of the residual over that of the measured fingerprint, 0..1."""
    at: Equations
    unknowns: Tensor
    unexplained: float
    """The amplitude that is unexplained, over that of all voxels together."""


class PhysicsCheck(Gadget[ParameterMaps, ParameterMaps]):
    """Adds the maps `pd`, `phase`, `residual`, `misfit` and `trust`, counts voxels, and judges the slice.

    `misfit` compares voxel by voxel; the voxels that it contradicts are flagged. `trust` compares regions. The counts
    `flagged`, `foreground` and `untrusted` are recorded in the scan's ledger. If a slice cannot be trusted, the client
    gets a warning with the likely cause, and the cause becomes the `quality` of the maps. Maps that exist already are
    kept. Messages without fingerprints, or without the map of a parameter, are passed on unchanged.

    Images with correlated noise are not compared: of windows that overlap, those that have no common spoke are taken.

    Args:
        scan: the scan.
        closed_form: the signal of the scan's sequence, by the tissue model of the maps.
        most_flagged: largest fraction of flagged voxels of a slice that can be trusted.
        by_adjoint: whether maps of other images are compared with those of the adjoint. A network knows that the
            inversion efficiency and B1 vary, which the tissue model may not. In iterative images this difference is
            larger than their noise, and 80 % of the true T1 and T2 of a brain are flagged.
        correction: refines the maps of a slice in which the signal contradicts a part of the tissue (`FEW`), of which
            the client is warned. None means that maps stay as they are.

    Raises ScanError if the closed form belongs to another sequence.

    """

    accepts = (ParameterMaps,)

    def __init__(
        self,
        scan: ScanContext,
        closed_form: ClosedForm,
        most_flagged: float = MOST_FLAGGED_BY_NETWORK,
        *,
        by_adjoint: bool = False,
        correction: Refinement | None = None,
    ) -> None:
        difference = closed_form.sequence.difference(scan.sequence)
        if difference:
            raise ScanError(f"The maps cannot be checked for another sequence than this scan's: {difference}.")
        self._scan = scan
        self._closed_form = closed_form
        self._independent = self._of_independent(closed_form.basis)
        self._most_flagged = most_flagged
        self._by_adjoint = by_adjoint
        self._correction = correction

    def feed(self, message: ParameterMaps, /) -> Iterator[ParameterMaps]:
        """Check one slice."""
        fingerprints = message.fingerprints
        if fingerprints is None or not message.maps.keys() >= set(self._closed_form.model.names):
            yield message
            return
        if self._by_adjoint and fingerprints.adjoint is not None:
            fingerprints = fingerprints.adjoint
        fit = self._fit(message, fingerprints)
        errors, wrong = self._contradictions(message, fit)
        contradicted = contradicted_regions(wrong, fit.mask).sum() / max(1, len(wrong))
        if self._correction is not None and contradicted >= FEW:
            self._scan.log.warning(
                "Slice %d: the signal contradicts the network's maps in %.0f %% of the tissue, which may be unlike "
                "what it was trained on; they were corrected by the physics.",
                message.slice + 1, 100 * contradicted,
            )  # fmt: skip
            message = self._correction.refined(message)
            fit = self._fit(message, fingerprints)
            errors, wrong = self._contradictions(message, fit)
        checked, flagged = self._check(message, fit, errors, wrong)
        judged = fingerprints.adjoint or fingerprints
        unexplained = (fit if judged is fingerprints else self._fit(message, judged)).unexplained
        total = int(message.foreground.sum())
        self._scan.integrity.record(message.slice, "flagged", flagged)
        self._scan.integrity.record(message.slice, "foreground", total)
        self._scan.integrity.record(message.slice, "untrusted", int(np.count_nonzero(checked["trust"])))
        quality = ""
        if total:
            evidence = FitEvidence(unexplained, flagged / total, self._at_limit(message))
            image, spokes = image_evidence(judged.data, message.foreground), len(self._scan.sequence)
            if fingerprints.has_corners:  # whole images instead of spokes
                image, spokes = replace(image, corners=0.0), UNEXPLAINED_SPOKES
            quality = self._judged(message, image, evidence, spokes)
        yield replace(message, maps={**checked, **message.maps}, quality=quality)

    def _judged(self, message: ParameterMaps, image: ImageEvidence, fit: FitEvidence, spokes: int) -> str:
        """The quality of a slice, of which the client is warned if it is not good."""
        header = self._scan.header
        covered = header.encoded_matrix[0] / header.oversampling / header.recon_matrix[0]
        body, matrix = float(message.foreground.mean()), max(message.foreground.shape)
        found = verdict(image, fit, body, matrix, covered, self._most_flagged, spokes)
        if found is None:
            return "good"
        self._scan.log.warning("Slice %d: %s", message.slice + 1, found.sentence)
        return found.reason

    def _of_independent(self, basis: TemporalBasis) -> tuple[TemporalBasis, NDArray[np.intp], ClosedForm]:
        """A basis, the numbers of its images with uncorrelated noise, and the closed form through these."""
        images = basis.independent
        every = len(images) == len(basis.te_ms)
        return basis, images, self._closed_form.through(basis if every else basis.only(images))

    def _fit(self, message: ParameterMaps, fingerprints: Fingerprints) -> _Fit:
        """The fit of the maps to the fingerprints, in the voxels of the foreground whose parameters are finite."""
        if fingerprints.basis is not self._independent[0]:  # a slice with missing frames has its own
            self._independent = self._of_independent(fingerprints.basis)
        _, images, closed_form = self._independent
        model = closed_form.model
        mask = message.foreground & np.all([np.isfinite(message.maps[name]) for name in model.names], axis=0)
        columns, scales = parameter_columns(model, message.maps, mask), Unknowns(model, message.limits)
        measured = np.stack([fingerprints.data[image][mask] for image in images]).T
        y = torch.from_numpy(measured / closed_form.basis.noise)
        efficiency = 1.0 if message.inversion_efficiency is None else message.inversion_efficiency

        def one(y: Tensor, *parameters: Tensor) -> tuple[Tensor, Equations]:
            self._scan.cancellation.check()
            fit = fit_and_residual(y, *closed_form.at(*parameters, efficiency=efficiency))
            return fit[0], normal_equations(*fit, scales)

        with workers(self._scan.threads) as pool:
            parts = list(pool.map(one, torch.split(y, CHUNK), *(torch.split(column, CHUNK) for column in columns)))
        rho, at = torch.cat([part for part, _ in parts]), Equations.joined([part for _, part in parts])
        energy = torch.view_as_real(y).square().sum((-2, -1))
        residual = (at.energy / energy.clamp_min(1e-30)).sqrt()
        unexplained = at.energy.sum() / energy.sum().clamp_min(1e-30)
        return _Fit(mask, rho, residual, at, scales.of(columns), float(unexplained.sqrt()))

    def _contradictions(self, message: ParameterMaps, fit: _Fit) -> tuple[Float, NDArray[np.int8]]:
        """The errors (voxels, parameters) that regions have in common, over their standard deviations, and where."""
        judged = torch.from_numpy(judged_values(self._closed_form.model, message.maps, fit.mask))

        def found() -> tuple[Float, NDArray[np.int8]]:
            errors = coherent_errors(fit.at, fit.unknowns, fit.mask)
            return errors.numpy(), wrong_regions(errors, judged, fit.mask)

        with workers(1) as pool:  # with more threads, torch would add in another order
            return pool.submit(found).result()

    def _check(
        self, message: ParameterMaps, fit: _Fit, errors: Float, wrong: NDArray[np.int8]
    ) -> tuple[dict[str, Float], int]:
        """The maps of the check, and the number of flagged voxels."""
        mask, model = fit.mask, self._closed_form.model
        values = {
            "pd": fit.rho.abs().numpy(), "phase": fit.rho.angle().numpy(), "residual": fit.residual.numpy(),
            "misfit": misfit(fit.at, mask),
        }  # fmt: skip
        maps = {name: np.zeros(mask.shape, np.float32) for name in values}
        for name, value in values.items():
            maps[name][mask] = value
        maps["residual"][message.foreground & ~mask] = 1
        flagged = message.foreground & ~(mask & (maps["misfit"] <= FLAGGED_ABOVE))
        maps["trust"] = trust_map(model, message, mask, errors, wrong, flagged)
        return maps, int(flagged.sum())

    def _at_limit(self, message: ParameterMaps) -> dict[str, float]:
        """The fraction of the foreground, for every property of the voxel, that has the lowest or the highest value."""
        limits = properties_at_limits(self._closed_form.model, message)
        return {name: float(reached[message.foreground].mean()) for name, reached in limits.items()}
