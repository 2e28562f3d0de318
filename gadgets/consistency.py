"""Consistency: makes the images of a slice consistent with its samples, as far as its maps explain them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import ParameterMaps
from spokestream.gadgets.model_fit.consistent_images import consistent_images
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.tissue_models.water_fat import WaterFatSignal

__all__ = ["Consistency"]


class Consistency(Gadget[ParameterMaps, ParameterMaps]):
    """Removes the aliasing and the blurring of what the maps explain from the images of the adjoint.

    The fingerprints of the message are replaced, and contain those of the adjoint as `Fingerprints.adjoint`; the maps
    stay as they are, so that a refinement should follow. Messages whose fingerprints have no operator, or without the
    map of a parameter, are passed on unchanged.

    Args:
        scan: the scan.
        closed_form: the signal of the scan's sequence.
        receiver_hz: frequency of the receiver during the readout, below that of water; see `demodulate`.

    """

    accepts = (ParameterMaps,)

    def __init__(self, scan: ScanContext, closed_form: WaterFatSignal, receiver_hz: float) -> None:
        self._scan, self._closed_form, self._receiver_hz = scan, closed_form, receiver_hz

    def feed(self, message: ParameterMaps, /) -> Iterator[ParameterMaps]:
        """Replace the fingerprints of one slice."""
        fingerprints, names = message.fingerprints, self._closed_form.model.names
        if fingerprints is None or fingerprints.operator is None or not message.maps.keys() >= set(names):
            yield message
            return
        mask = message.foreground & np.all([np.isfinite(message.maps[name]) for name in names], axis=0)
        efficiency = 1.0 if message.inversion_efficiency is None else message.inversion_efficiency
        images = consistent_images(
            fingerprints, message.maps, mask, self._closed_form, efficiency, self._receiver_hz, self._scan.threads,
            self._scan.cancellation.check,
        )  # fmt: skip
        adjoint, basis = replace(fingerprints, operator=None), fingerprints.operator.basis
        yield replace(message, fingerprints=replace(adjoint, data=images, basis=basis, adjoint=adjoint))
