"""Consistency: refines maps in images that agree with the samples as far as the maps explain them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import ParameterMaps
from spokestream.gadgets.model_fit.consistent_images import consistent_images
from spokestream.gadgets.refinement import Refinement
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.tissue_models.water_fat import WaterFatSignal

__all__ = ["Consistency"]


class Consistency(Gadget[ParameterMaps, ParameterMaps]):
    """Removes the aliasing and the blurring of what the maps explain from the images of a slice, and refines the maps.

    The fingerprints of the message become the consistent images, and contain those of the adjoint as
    `Fingerprints.adjoint`. Where there is no operator, the images stay those of the adjoint, and maps are refined
    unless they were refined before.

    Args:
        scan: the scan.
        closed_form: the signal of the scan's sequence.
        receiver_hz: frequency of the receiver during the readout, below that of water; see `demodulate`.
        refinement: refines the maps in these images.
        anew: whether the maps were refined before.

    """

    accepts = (ParameterMaps,)

    def __init__(
        self,
        scan: ScanContext,
        closed_form: WaterFatSignal,
        receiver_hz: float,
        refinement: Refinement,
        *,
        anew: bool,
    ) -> None:
        self._scan, self._closed_form, self._receiver_hz = scan, closed_form, receiver_hz
        self._refinement, self._anew = refinement, anew

    def feed(self, message: ParameterMaps, /) -> Iterator[ParameterMaps]:
        """Refine one slice in consistent images."""
        fingerprints, names = message.fingerprints, self._closed_form.model.names
        operator = None if fingerprints is None else fingerprints.operator
        if fingerprints is None or operator is None or not message.maps.keys() >= set(names):
            yield message if self._anew else self._refinement.refined(message)
            return
        mask = message.foreground & np.all([np.isfinite(message.maps[name]) for name in names], axis=0)
        efficiency = 1.0 if message.inversion_efficiency is None else message.inversion_efficiency
        images = consistent_images(
            fingerprints, message.maps, mask, self._closed_form, efficiency, self._receiver_hz, self._scan.threads,
            self._scan.cancellation.check,
        )  # fmt: skip
        adjoint = replace(fingerprints, operator=None)
        # what samples do not cover comes from the maps, and whatever these are, they explain it
        consistent = replace(adjoint, data=images, adjoint=adjoint, seen=operator.seen)
        # the efficiency of the inversion is known better without aliasing
        message = replace(message, fingerprints=consistent, inversion_efficiency=None)
        yield self._refinement.refined(message, anew=self._anew)
