"""The physics check: whether the maps of a slice, from any source, explain the measured signal."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Fingerprints, Float, ParameterMaps
from spokestream.gadgets.model_fit.misfit import Explained, explained, misfit
from spokestream.gadgets.model_fit.residuals import parameter_columns
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["FLAGGED_ABOVE", "PhysicsCheck"]

FLAGGED_ABOVE = 2.0
"""Misfit above which noise and aliasing are no explanation. In true maps, a few percent of voxels exceed it, most of
them at edges."""
WARN_ABOVE = 0.15
"""Fraction of flagged voxels above which a warning is given."""
CHUNK = 4096
"""Number of voxels that are compared at once."""


class PhysicsCheck(Gadget[ParameterMaps, ParameterMaps]):
    """Adds the maps `pd`, `phase`, `residual` and `misfit`, and counts the voxels whose maps the signal contradicts.

    The counts `flagged` and `foreground` are recorded in the scan's ledger. Maps that exist already are kept. Messages
    without fingerprints, or without the map of a parameter, are passed on unchanged.

    Args:
        scan: the scan.
        closed_form: the signal of the scan's sequence, by the tissue model of the maps.

    Raises ScanError if the closed form belongs to another sequence.

    """

    accepts = (ParameterMaps,)

    def __init__(self, scan: ScanContext, closed_form: ClosedForm) -> None:
        difference = closed_form.sequence.difference(scan.sequence)
        if difference:
            raise ScanError(f"The maps cannot be checked for another sequence than this scan's: {difference}.")
        self._scan = scan
        self._closed_form = closed_form

    def feed(self, message: ParameterMaps, /) -> Iterator[ParameterMaps]:
        """Check one slice."""
        fingerprints = message.fingerprints
        if fingerprints is None or not message.maps.keys() >= set(self._closed_form.model.names):
            yield message
            return
        checked, flagged = self._check(message, fingerprints, self._closed_form.through(fingerprints.basis))
        total = int(message.foreground.sum())
        if flagged > WARN_ABOVE * total:
            self._scan.log.warning(
                "The maps of slice %d do not explain the measured signal in %.0f %% of its voxels.",
                message.slice + 1, 100 * flagged / total,
            )  # fmt: skip
        self._scan.integrity.record(message.slice, "flagged", flagged)
        self._scan.integrity.record(message.slice, "foreground", total)
        yield replace(message, maps={**checked, **message.maps})

    def _check(
        self, message: ParameterMaps, fingerprints: Fingerprints, closed_form: ClosedForm
    ) -> tuple[dict[str, Float], int]:
        """The maps of the check, and the number of flagged voxels."""
        names = closed_form.model.names
        finite = np.all([np.isfinite(message.maps[name]) for name in names], axis=0)
        mask = message.foreground & finite
        columns = [torch.split(column, CHUNK) for column in parameter_columns(closed_form.model, message.maps, mask)]
        y = torch.from_numpy(np.ascontiguousarray(fingerprints.data[:, mask].T) / fingerprints.basis.noise)
        efficiency = 1.0 if message.inversion_efficiency is None else message.inversion_efficiency

        def one(y: Tensor, *parameters: Tensor) -> Explained:
            signal, derivatives = closed_form.at(*parameters, efficiency=efficiency)
            return explained(y, signal, derivatives[:, : len(names)])

        with workers(self._scan.threads) as pool:
            found = Explained.joined(list(pool.map(one, torch.split(y, CHUNK), *columns)))
        values = {
            "pd": found.rho.abs(), "phase": found.rho.angle(), "residual": found.residual,
            "misfit": misfit(found.explicable.numpy(), found.noise.numpy(), mask),
        }  # fmt: skip
        maps = {name: np.zeros(mask.shape, np.float32) for name in values}
        for name, value in values.items():
            maps[name][mask] = value
        maps["residual"][message.foreground & ~finite] = 1
        return maps, int(np.sum(message.foreground & ~(finite & (maps["misfit"] <= FLAGGED_ABOVE))))
