"""Map denoising: moves the maps of a slice towards how tissue looks, the further the less its signal says."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.gadgets.messages import Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.model_fit.evidence import evidence
from spokestream.gadgets.model_fit.measured_slice import MeasuredSlice
from spokestream.gadgets.model_fit.refine import as_maps, first_std
from spokestream.gadgets.model_fit.residuals import parameter_columns
from spokestream.gadgets.network.denoiser import Denoiser
from spokestream.gadgets.quality.trust import properties_at_limits
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.quantities import masked
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm, Parameter

__all__ = ["MapDenoising", "evidence_of"]


def evidence_of(
    message: ParameterMaps, fingerprints: Fingerprints, mask: Mask, closed_form: ClosedForm, scan: ScanContext
) -> tuple[MeasuredSlice, Tensor, Tensor]:
    """What a denoiser sees of the voxels of a mask (y, x): the slice, its unknowns, and its `evidence`."""
    efficiency = 1.0 if message.inversion_efficiency is None else message.inversion_efficiency
    measured = MeasuredSlice.of(
        fingerprints.data, mask, closed_form.through(fingerprints.basis), efficiency, message.limits, scan.threads,
        scan.cancellation.check, fingerprints.seen,
    )  # fmt: skip
    columns = parameter_columns(closed_form.model, message.maps, mask)
    x = measured.scales.of(columns)
    return measured, x, evidence(measured, x, first_std(message.maps, measured, columns))


class MapDenoising(Gadget[ParameterMaps, ParameterMaps]):
    """Denoises maps that were refined in images that a network has learnt, with new standard deviations.

    Other maps are passed on with a warning, and those of spirals or of whole images without one. The provenance says
    which slices were denoised.

    Args:
        scan: the scan.
        closed_form: the signal of the scan's sequence.
        denoisers: the networks, one for each kind of images. A slice whose images could not be made consistent needs
            that of the adjoint.

    Raises ScanError if a network is for another tissue model.

    """

    accepts = (ParameterMaps,)

    def __init__(self, scan: ScanContext, closed_form: ClosedForm, *denoisers: Denoiser) -> None:
        for model in (denoiser.card.model for denoiser in denoisers):
            if model is not closed_form.model:
                raise ScanError(f"The denoiser is for maps of {model.title}, not of {closed_form.model.title}.")
        self._scan, self._closed_form = scan, closed_form
        self._denoisers = {denoiser.card.images: denoiser for denoiser in denoisers}

    def feed(self, message: ParameterMaps, /) -> Iterator[ParameterMaps]:
        """Denoise one slice."""
        fingerprints, names, scan = message.fingerprints, self._closed_form.model.names, self._scan
        needed = {*names} | {f"{name}_std" for name in names}
        scan.provenance["denoising"] = "none"
        if fingerprints is not None and not fingerprints.straight:
            yield message  # nothing has learnt the aliasing of other readouts
            return
        denoiser = None if fingerprints is None else self._denoisers.get(_images_of(fingerprints))
        if fingerprints is None or denoiser is None or not message.maps.keys() >= needed:
            scan.log.warning(
                "Slice %d was not denoised, because its maps were not refined in %s images.",
                message.slice + 1, " or ".join(self._denoisers),
            )  # fmt: skip
            yield message
            return
        mask = message.foreground & np.all([np.isfinite(message.maps[name]) for name in needed], axis=0)
        if not mask.any():
            yield message
            return
        scan.provenance["denoising"] = f"by a network over maps, {denoiser.digest}"
        measured, x, seen = evidence_of(message, fingerprints, mask, self._closed_form, scan)
        moved, std = denoiser(seen, x, mask, scan.threads, scan.cancellation.check)
        denoised = as_maps(measured, measured.scales.bounded(moved), std, message.maps)
        for p, (_, longest) in zip(self._closed_form.model.parameters, measured.scales.spans, strict=True):
            if p.pool:
                denoised[p.name] = _at_limit(p, denoised, mask, longest)
        for name, kept in self._kept(message, mask).items():
            for one in (name, f"{name}_std"):
                denoised[one] = np.where(kept, message.maps[one], denoised[one])
        yield replace(message, maps={**message.maps, **denoised})

    def _kept(self, message: ParameterMaps, mask: Mask) -> dict[str, Mask]:
        """Map -> mask (y, x) of the values that stay: those outside the mask, and those at a limit of the method.

        Off-resonance or B1 at a limit says that the true one lies beyond it. A relaxation time may be there because its
        pool is small.
        """
        model = self._closed_form.model
        limits = properties_at_limits(model, message)
        return {name: ~mask | limits.get(name, False) for name in model.names}


def _images_of(fingerprints: Fingerprints) -> str:
    return ADJOINT if fingerprints.seen is None else CONSISTENT


def _at_limit(parameter: Parameter, maps: Mapping[str, Float], mask: Mask, longest: float) -> Float:
    """A map (y, x) of relaxation times, of which those within one standard deviation of the longest one are this one.

    The network has learnt fluids, whose relaxation times no map can hold, as the longest one. It comes to some
    milliseconds of that, and the map of trust shall say that the true value may lie beyond.
    """
    values = maps[parameter.name]
    near = values + maps[f"{parameter.name}_std"] >= longest
    return np.where(near & masked(parameter.quantity.where, mask, maps), np.float32(longest), values)
