"""Refinement: makes the maps of a slice continuous, and says to what they are known."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Float, Mask, ParameterMaps
from spokestream.gadgets.model_fit.inversion import inversion_efficiency
from spokestream.gadgets.model_fit.refine import refined_maps
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["Refinement"]

REPLACED = ("pd", "phase", "correlation")
"""Maps that belong to the maps before. The physics check computes proton density and phase again."""


class Refinement(Gadget[ParameterMaps, ParameterMaps]):
    """Refines the maps of a slice, and adds their standard deviations as `<map>_std` if they have none.

    `refined_maps` describes how. If the inversion efficiency of the slice is not known yet, it is estimated first,
    unless the tissue model does not allow it. Values stay within the limits of the method that gave the first maps.
    Messages without fingerprints, or without the map of a parameter, are passed on unchanged.

    Args:
        scan: the scan.
        closed_form: the signal of the scan's sequence, by the tissue model of the maps.

    Raises ScanError if the closed form belongs to another sequence.

    """

    accepts = (ParameterMaps,)

    def __init__(self, scan: ScanContext, closed_form: ClosedForm) -> None:
        difference = closed_form.sequence.difference(scan.sequence)
        if difference:
            raise ScanError(f"The maps cannot be refined for another sequence than this scan's: {difference}.")
        self._scan = scan
        self._closed_form = closed_form
        scan.provenance["refinement"] = "Gauss-Newton, pooled over neighbours"

    def feed(self, message: ParameterMaps, /) -> Iterator[ParameterMaps]:
        """Refine one slice."""
        yield self.refined(message)

    def refined(self, message: ParameterMaps, *, anew: bool = False) -> ParameterMaps:
        """The refined maps of one slice.

        Args:
            message: the maps.
            anew: whether they were refined before. Their standard deviations come from the same samples then, and are
                no evidence of their own.

        """
        fingerprints, names = message.fingerprints, self._closed_form.model.names
        if fingerprints is None or not message.maps.keys() >= set(names):
            return message
        mask = message.foreground & np.all([np.isfinite(message.maps[name]) for name in names], axis=0)
        if not mask.any():  # the maps of all slices are the same ones
            refined = {name: np.zeros(mask.shape, np.float32) for of in names for name in (of, f"{of}_std")}
            return self._replaced(message, refined, mask, message.inversion_efficiency)
        scan, closed_form = self._scan, self._closed_form.through(fingerprints.basis)
        efficiency = message.inversion_efficiency
        if efficiency is None and scan.sequence.inversion and not closed_form.model.nominal_flip_angles:
            efficiency = inversion_efficiency(fingerprints.data, fingerprints.basis, message.maps, mask, closed_form)
        first = {name: message.maps[name] for name in names} if anew else message.maps
        refined = refined_maps(
            fingerprints.data, first, mask, closed_form, 1.0 if efficiency is None else efficiency,
            message.limits, scan.threads, scan.cancellation.check, fingerprints.seen,
        )  # fmt: skip
        return self._replaced(message, refined, mask, efficiency)

    def _replaced(
        self, message: ParameterMaps, refined: dict[str, Float], mask: Mask, efficiency: float | None
    ) -> ParameterMaps:
        """A message with refined maps, which are numbers in a mask."""
        lost = message.foreground & ~mask
        for name in self._closed_form.model.names:
            refined[name][lost] = np.nan  # no number before, and none now
        kept = {name: values for name, values in message.maps.items() if name not in REPLACED}
        return replace(message, maps={**kept, **refined}, inversion_efficiency=efficiency)
