"""Pulse correction: T1 and T2 of matching, corrected for the inversion and the B1 that a slice shows."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.ndimage import median_filter

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Float, Mask, ParameterMaps
from spokestream.gadgets.model_fit.inversion_and_b1 import inversion_and_b1
from spokestream.gadgets.model_fit.pulse_errors import signal_of_voxels, without_pulse_errors
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.relaxation_b1 import RelaxationB1Signal

__all__ = ["PulseCorrection"]

LARGEST_STD = 0.01
"""Standard deviation of the efficiency above which a slice does not tell it, and its maps stay as they are. In brains
of 96 to 256 pixels it is 0.003 to 0.008; in 25 echo-planar images, nearly the 0.03 that is known beforehand."""
LEAST_TISSUE = 0.5
"""Fraction of the voxels of a slice that must tell of its pulses. In a phantom of a few spheres with the T1 of tissue,
B1 of all others would be extrapolated."""
NEIGHBOURS = 3
"""Side, in pixels, of the median of maps from which the efficiency is found. Their noise would shift it by -0.05."""


class PulseCorrection(Gadget[ParameterMaps, ParameterMaps]):
    """Corrects the maps `t1`, `t2` and `pd` that matching found as if the pulses of the scan were perfect.

    The efficiency of the inversion and B1 are found from the images of the adjoint (`inversion_and_b1`), and every
    voxel is moved to the T1 and T2 that give the same fingerprint by the true pulses (`without_pulse_errors`). Maps
    that compare fingerprints, such as `residual` and `trust`, therefore stay as they are: the physics check comes
    first. Passed on unchanged are slices that do not tell the efficiency, messages without fingerprints or maps, and
    scans without an inversion, with several echo times, or in a basis of frames or windows. The client is warned of
    pulses that are too far from nominal to be corrected.

    Args:
        scan: the scan.
        basis: the temporal basis of its images.

    """

    accepts = (ParameterMaps,)

    def __init__(self, scan: ScanContext, basis: TemporalBasis) -> None:
        one_echo = len(np.unique(basis.te_ms)) == 1
        self._possible = scan.sequence.inversion and one_echo and not basis.is_windows
        self._scan = scan
        if self._possible:
            self._signals = self._of_basis(basis)
            before = scan.provenance.get("refinement", "none")
            after = "for the inversion and B1, in slices with an inversion efficiency"
            scan.provenance["refinement"] = after if before == "none" else f"{before}; {after}"

    def feed(self, message: ParameterMaps, /) -> Iterator[ParameterMaps]:
        """Correct one slice."""
        fingerprints, maps = message.fingerprints, message.maps
        if not self._possible or fingerprints is None or not maps.keys() >= {"t1", "t2"}:
            yield message
            return
        adjoint = fingerprints.adjoint or fingerprints
        if adjoint.basis is not self._signals[0]:  # a slice with missing frames has its own
            self._signals = self._of_basis(adjoint.basis)
        _, of_tissue, of_voxels = self._signals
        t1, t2 = (median_filter(maps[name], NEIGHBOURS) for name in ("t1", "t2"))
        pulses = inversion_and_b1(adjoint.data, adjoint.basis, t1, t2, message.foreground, of_tissue)
        if not (pulses.efficiency_std <= LARGEST_STD and pulses.tissue >= LEAST_TISSUE):
            yield message
            return
        if not pulses.plausible:
            self._scan.log.warning(
                "Slice %d: the inversion or B1 is too far from what the sequence asks for, so that T1 and T2 cannot be "
                "corrected for them and may be wrong.",
                message.slice + 1,
            )  # fmt: skip
            yield message
            return
        where = message.foreground & (maps["t1"] > 0) & (maps["t2"] > 0)
        found = maps["t1"][where], maps["t2"][where]
        true = without_pulse_errors(
            *found, pulses.b1[where], pulses.efficiency, of_voxels, self._scan.threads, self._scan.cancellation.check
        )
        t1, t2 = (np.clip(values, p.low, p.high) for values, p in zip(true, RELAXATION.parameters, strict=False))
        changes = {"t1": t1 / found[0], "t2": t2 / found[1], "pd": true[2]}
        corrected = {
            name: _changed(maps[name], where, changes[name.removesuffix("_std")])
            for name in maps
            if name.removesuffix("_std") in changes
        }
        yield replace(message, maps=maps | corrected, inversion_efficiency=pulses.efficiency)

    def _of_basis(self, basis: TemporalBasis) -> tuple[TemporalBasis, RelaxationB1Signal, RelaxationB1Signal]:
        """A basis, and through it the signals of tissue, by which the pulses are found, and of all voxels."""
        sequence = self._scan.sequence
        return basis, RelaxationB1Signal(sequence, basis), signal_of_voxels(sequence, basis)


def _changed(values: Float, where: Mask, factors: Float) -> Float:
    """The map whose values in a mask are multiplied by factors (voxels,)."""
    changed = values.copy()
    changed[where] *= factors
    return changed
