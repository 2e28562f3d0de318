"""The parts that the chains of several pipelines have in common."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spokestream.errors import InputError
from spokestream.gadgets.coil_compression import CoilCompression
from spokestream.gadgets.conjugation import Conjugation
from spokestream.gadgets.consistency import Consistency
from spokestream.gadgets.delay_correction import DelayCorrection
from spokestream.gadgets.discarded_samples import DiscardedSamples
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.gridding import Gridding
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.gadgets.imaging.low_rank import EchoTime, echo_times_of
from spokestream.gadgets.map_denoising import MapDenoising
from spokestream.gadgets.network.denoiser import Denoiser, load_denoiser
from spokestream.gadgets.network.pixels import other_pixels
from spokestream.gadgets.noise_whitening import NoiseWhitening
from spokestream.gadgets.provisional_matching import ProvisionalMatching
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.refinement import Refinement
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation
from spokestream.gadgets.spoke_quality import SpokeQuality
from spokestream.models.archives import MATCHING, denoiser_path, has_denoiser
from spokestream.pipelines.provisional_maps import ProvisionalMaps
from spokestream.pipelines.settings import MatchingSettings, NetworkSettings, StreamSettings
from spokestream.simulator.physics.dictionaries.match import Dictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis, frame_basis, window_basis
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm, TissueModel
from spokestream.simulator.physics.tissue_models.water_fat import WaterFatSignal

__all__ = [
    "consistency",
    "correction",
    "denoising",
    "echo_times",
    "imaging",
    "refinement",
    "temporal_basis",
    "to_fingerprints",
]


def temporal_basis(scan: ScanContext, settings: MatchingSettings, atoms: NDArray[Any]) -> TemporalBasis:
    """The temporal basis of the settings, for which atoms (atoms, spokes) represent the tissue."""
    words = settings.basis
    if settings.basis == "window":
        basis = window_basis(scan.sequence, settings.window, settings.stride, atoms)
        words = f"windows of {settings.window} readouts, {settings.stride} apart"
    else:
        basis = (frame_basis if settings.basis == "frames" else compressed_basis)(scan.sequence, atoms)
    scan.provenance["basis"] = f"{words}, {basis.weights.shape[1]} images"
    return basis


def echo_times(
    scan: ScanContext, settings: MatchingSettings, model: TissueModel, basis: TemporalBasis, signals: NDArray[Any]
) -> list[EchoTime] | None:
    """The echo times of the basis that was made from these signals of the model, unless images are the adjoint's.

    Raises InputError for such images in another basis than the compressed one.
    """
    if not settings.inverts:
        scan.provenance["images"] = ADJOINT
        return None
    if settings.basis != "compressed":
        kind = settings.images.capitalize()
        raise InputError(f"{kind} images need the compressed basis, not basis={settings.basis}.")
    return echo_times_of(model, scan.sequence, basis, signals)


def imaging(scan: ScanContext, settings: StreamSettings, demodulation_hz: float) -> list[Gadget[Any, Any]]:
    """The gadgets from readouts to the frames of a slice."""
    whitening = NoiseWhitening(scan)
    return [
        DiscardedSamples(scan),
        *([Conjugation(scan)] if settings.conjugate == "yes" else []),
        whitening,
        Readout(scan, settings.trajectory, settings.max_missing, demodulation_hz),
        SpokeQuality(scan, settings.max_missing, whitening.as_received),
        CoilCompression(scan, settings.virtual_coils),
        SpokeAccumulation(scan),
        *([DelayCorrection(scan)] if settings.delays == "auto" else []),
    ]


def refinement(
    scan: ScanContext, settings: StreamSettings, closed_form: ClosedForm, *, by_default: bool = False
) -> list[Gadget[Any, Any]]:
    """The refinement of maps, if the settings ask for it, or leave it to a pipeline that refines by default."""
    if settings.refine == "on" or (settings.refine == "auto" and by_default):
        return [Refinement(scan, closed_form)]
    scan.provenance["refinement"] = "none"
    return []


def consistency(
    scan: ScanContext,
    settings: MatchingSettings | NetworkSettings,
    closed_form: ClosedForm,
    receiver_hz: float,
    first_maps: str,
) -> list[Gadget[Any, Any]]:
    """The gadget that refines maps in consistent images, if the settings ask for these.

    Args:
        scan: the scan.
        settings: of the pipeline.
        closed_form: the signal of the scan's sequence.
        receiver_hz: frequency of the receiver during the readout, below that of water.
        first_maps: what made them: `MATCHING`, after which they were refined, or the network of this name.

    Raises InputError where there can be none.

    """
    if settings.images != CONSISTENT:
        return []
    if settings.refine == "off":
        raise InputError("Consistent images change nothing without refinement; leave out refine=off.")
    if not isinstance(closed_form, WaterFatSignal):
        raise InputError("Consistent images are those of water and fat; leave out the setting images.")
    return [Consistency(scan, closed_form, receiver_hz, Refinement(scan, closed_form), anew=first_maps == MATCHING)]


def denoising(
    scan: ScanContext, settings: StreamSettings, closed_form: ClosedForm, first_maps: str, images: str
) -> list[Gadget[Any, Any]]:
    """The gadget that denoises maps, if the settings ask for it, or leave it to the denoisers that there are.

    Args:
        scan: the scan.
        settings: of the pipeline.
        closed_form: the signal of the scan's sequence.
        first_maps: what made them: `MATCHING`, after which they were refined, or the network of this name.
        images: the images that they are maps of; consistent ones may turn out to be those of the adjoint.

    Raises InputError if there is no denoiser for these maps, and somebody asks for it.

    """
    model, wanted, against = closed_form.model.name, settings.denoise, ""
    if settings.refine == "off":
        against = "refine=off"
    elif isinstance(settings, MatchingSettings) and settings.basis != "compressed":
        against = f"basis={settings.basis}"
    if against and wanted == "on":
        raise InputError(f"Only maps that were refined in the compressed basis are denoised; leave out {against}.")
    if against or wanted == "off" or (wanted == "auto" and not has_denoiser(model, first_maps, images)):
        scan.provenance["denoising"] = "none"
        return []
    instead = [ADJOINT] if images != ADJOINT and has_denoiser(model, first_maps, ADJOINT) else []
    networks = [denoiser(denoiser_path(model, first_maps, kind)) for kind in (images, *instead)]
    card = networks[0].card
    if others := other_pixels(card.smallest_mm, card.largest_mm, scan.header):
        if wanted == "auto":
            scan.provenance["denoising"] = f"none: it was trained for {others}"
            return []
        scan.log.warning("Denoising was trained for %s: it may make maps worse; leave out denoise.", others)
    return [MapDenoising(scan, closed_form, *networks)]


@lru_cache
def denoiser(path: Path) -> Denoiser:
    """The denoiser of an archive, which is loaded once. Raises FileError."""
    return load_denoiser(path)


def correction(scan: ScanContext, closed_form: ClosedForm) -> Refinement:
    """The refinement of slices of which the signal contradicts the standard deviations of a network."""
    refinement = Refinement(scan, closed_form)
    scan.provenance["refinement"] = "where the signal contradicts the network"
    return refinement


def to_fingerprints(
    scan: ScanContext,
    settings: MatchingSettings | NetworkSettings,
    model: TissueModel,
    basis: TemporalBasis,
    dictionary: Callable[[], Dictionary],
    closed_form: ClosedForm,
    check_conjugation: bool,
    inversion: list[EchoTime] | None = None,
) -> Gadget[Any, Any]:
    """The gadget from frames to fingerprints, which also gives provisional maps if the settings ask for them."""
    gridding = Gridding(
        scan,
        basis,
        inversion=inversion,
        for_maps=settings.images == CONSISTENT,
        adjoint_instead=isinstance(settings, MatchingSettings) and settings.images == "auto",
        partial=bool(settings.provisional),
    )
    if not settings.provisional:
        return gridding

    def matching(context: ScanContext) -> ProvisionalMatching:
        return ProvisionalMatching(context, model, dictionary, closed_form, check_conjugation)

    return ProvisionalMaps(scan, gridding, basis, model, settings.provisional, matching, settings.datatype)
