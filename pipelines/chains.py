"""The pipelines that exist: each composes the chain of a scan from gadgets."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from spokestream.errors import InputError
from spokestream.gadgets.conjugation_check import ConjugationCheck
from spokestream.gadgets.dictionary_matching import DictionaryMatching, check_dictionary
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT, ITERATIVE
from spokestream.gadgets.map_images import MapImages
from spokestream.gadgets.network_inference import NetworkInference, check_scan
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.gadgets.pulse_correction import PulseCorrection
from spokestream.gadgets.quality.verdict import (
    MOST_FLAGGED_BEYOND_MODEL,
    MOST_FLAGGED_BY_NETWORK,
    MOST_FLAGGED_BY_SEARCH,
)
from spokestream.gadgets.scan.context import ScanContext
from spokestream.models.archives import MATCHING, archive_path, is_shipped, shipped_networks
from spokestream.pipelines.chain_parts import (
    consistency,
    correction,
    denoising,
    echo_times,
    imaging,
    refinement,
    temporal_basis,
    to_fingerprints,
)
from spokestream.pipelines.node.model_pool import MODEL_POOL, SharedNetwork
from spokestream.pipelines.settings import (
    AutoSettings,
    NetworkSettings,
    StreamSettings,
    T1FFNetSettings,
    T1FFSettings,
    T1T2NetSettings,
    T1T2Settings,
)
from spokestream.simulator.physics.dictionaries.match import Dictionary
from spokestream.simulator.physics.fat_spectrum import REFERENCE_FIELD_T
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

__all__ = [
    "ATOMS_PER_BASIS", "PIPELINES", "Pipeline", "add_installed_pipelines", "network_path", "pipeline", "shared_network",
    "warm_up",
]  # fmt: skip

LOG = logging.getLogger("spokestream.pipelines")
ENTRY_POINTS = "spokestream.pipelines"
"""Group of entry points by which another package offers a `Pipeline`; the entry point's name is the pipeline's."""

ATOMS_PER_BASIS = 16
"""One in this many atoms over T1 and T2 is used to find the basis: neighbours differ by 2.5 %, and span the same."""


@dataclass(frozen=True)
class Pipeline:
    """A way from readouts to maps that a scan can ask for by name."""

    settings: type[StreamSettings]
    build: Callable[[ScanContext, Any], Chain]
    """Composes the chain of a scan, given an instance of the settings."""
    model: TissueModel | None = None
    """The tissue model whose maps it gives; None if that is the pipeline's own affair."""


PIPELINES: dict[str, Pipeline] = {}
"""The pipelines by the names by which scanners ask for them."""

Build = TypeVar("Build", bound=Callable[[ScanContext, Any], Chain])


def pipeline(name: str, settings: type[StreamSettings], model: TissueModel | None = None) -> Callable[[Build], Build]:
    """Register the decorated function, which composes a chain from these settings, as a pipeline.

    With a tissue model, it serves the scans that name no pipeline and whose sequence encodes the model's parameters. Of
    several such pipelines, the one that was registered first is taken.
    """

    def register(build: Build) -> Build:
        PIPELINES[name] = Pipeline(settings, build, model)
        return build

    return register


def add_installed_pipelines() -> None:
    """Register the pipelines that other installed packages offer. One that cannot be loaded is logged and left out."""
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            offered = entry.load()
            if not isinstance(offered, Pipeline):
                raise TypeError(f"{entry.value} is not a Pipeline")
        except Exception as error:  # noqa: BLE001  whatever another package does when it is imported
            LOG.error("The pipeline '%s' of %s cannot be loaded: %s.", entry.name, entry.value, error)
            continue
        PIPELINES.setdefault(entry.name, offered)


@pipeline("mrf_t1ff", T1FFSettings, WATER_FAT)
def mrf_t1ff(scan: ScanContext, settings: T1FFSettings) -> Chain:
    """MRF T1-FF: fat fraction, water and fat T1, off-resonance and B1 by dictionary matching and refinement."""
    if settings.dictionary:
        dictionary, source = WATER_FAT.load_dictionary(settings.dictionary), settings.dictionary.name
        check_dictionary(scan, WATER_FAT, dictionary)
    else:
        dictionary, source = WATER_FAT.dictionary(scan.sequence, scan.field_t), "closed form"
    demodulation_hz = settings.demodulation_hz * scan.field_t / REFERENCE_FIELD_T
    basis = temporal_basis(scan, settings, dictionary.atoms)
    closed_form = WATER_FAT.closed_form(scan.sequence, basis, scan.field_t)
    # a frame of eight spokes says enough: with the atoms as a prior, errors of water T1 were not smaller
    inversion, auto = echo_times(scan, settings, WATER_FAT, basis, dictionary.atoms), settings.conjugate == "auto"
    refined = refinement(scan, settings, closed_form, by_default=settings.basis == "compressed")
    matcher = "promising" if refined and settings.matcher == "auto" else settings.matcher
    return Chain(
        [
            *imaging(scan, settings, demodulation_hz),
            to_fingerprints(scan, settings, WATER_FAT, basis, lambda: dictionary, closed_form, auto, inversion),
            *([ConjugationCheck(scan, closed_form)] if auto else []),
            DictionaryMatching(scan, WATER_FAT, dictionary, source, matcher),
            *refined,
            *consistency(scan, settings, closed_form, demodulation_hz, MATCHING),
            *denoising(scan, settings, closed_form, MATCHING, settings.kind_of_images),
            PhysicsCheck(scan, closed_form, MOST_FLAGGED_BY_SEARCH),
            MapImages(scan, settings.datatype),
        ],
        scan.cancellation,
    )


@pipeline("mrf_t1ff_net", T1FFNetSettings, WATER_FAT)
def mrf_t1ff_net(scan: ScanContext, settings: T1FFNetSettings) -> Chain:
    """MRF T1-FF: the same maps by a network."""
    return _by_network(scan, settings, check_conjugation=settings.conjugate == "auto")


def _by_network(scan: ScanContext, settings: NetworkSettings, *, check_conjugation: bool) -> Chain:
    """The chain of a network, which brings its temporal basis and its tissue model."""
    shared = shared_network(settings)
    contract = shared.network.contract
    check_scan(contract, scan)
    basis = contract.basis
    scan.provenance["basis"] = f"of the network, {basis.weights.shape[1]} images"
    closed_form = contract.model.closed_form(scan.sequence, basis, scan.field_t)
    demodulation_hz = contract.demodulation_hz * scan.field_t / contract.field_t

    def dictionary() -> Dictionary:
        return contract.model.dictionary(scan.sequence, scan.field_t)

    if settings.images not in ("auto", contract.images, CONSISTENT):
        raise InputError(
            f"The network '{contract.name}' was trained on {contract.images} images, not on {settings.images} ones; "
            "leave out the setting images."
        )
    scan.provenance["images"] = contract.images
    consistent = settings.images == CONSISTENT
    if (consistent or settings.refine == "on") and not contract.gives_all:
        raise InputError(
            f"The network '{contract.name}' does not give all of {', '.join(contract.model.names)}, so that its maps "
            "cannot be refined; leave out the settings refine and images."
        )
    if consistent and (contract.images != ADJOINT or basis.is_windows):
        raise InputError(
            f"The network '{contract.name}' maps other images than those of the adjoint in a compressed basis, which "
            "cannot be made consistent; leave out the setting images."
        )
    nominal = contract.model.nominal_flip_angles
    most_flagged = MOST_FLAGGED_BEYOND_MODEL if nominal else MOST_FLAGGED_BY_NETWORK
    inversion = shared.echo_times if consistent or contract.images == ITERATIVE else None
    corrects = (
        settings.refine == "auto"
        and not nominal
        and contract.gives_all
        and all(output.std for output in contract.outputs)
    )
    # a network of the user's own may have the name of one that comes with the software, but errs in other ways
    digest = shared.network.digest
    first_maps = contract.name if is_shipped(contract.name, digest) else f"the network {digest}"
    refined = consistency(scan, settings, closed_form, demodulation_hz, first_maps) or refinement(
        scan, settings, closed_form
    )
    return Chain(
        [
            *imaging(scan, settings, demodulation_hz),
            to_fingerprints(
                scan, settings, contract.model, basis, dictionary, closed_form, check_conjugation, inversion
            ),
            *([ConjugationCheck(scan, closed_form)] if check_conjugation else []),
            NetworkInference(scan, shared.network, shared.lock.held, closed_form),
            *refined,
            *denoising(scan, settings, closed_form, first_maps, CONSISTENT if consistent else contract.images),
            PhysicsCheck(
                scan,
                closed_form,
                most_flagged,
                by_adjoint=not consistent,
                correction=correction(scan, closed_form) if corrects and not consistent else None,
            ),
            MapImages(scan, settings.datatype),
        ],
        scan.cancellation,
    )


@pipeline("mrf_t1t2", T1T2Settings, RELAXATION)
def mrf_t1t2(scan: ScanContext, settings: T1T2Settings) -> Chain:
    """T1 and T2 of gradient-spoiled trains by dictionary matching, each slice checked against the physics."""
    if settings.dictionary:
        dictionary, source = RELAXATION.load_dictionary(settings.dictionary), settings.dictionary.name
        check_dictionary(scan, RELAXATION, dictionary)
    else:
        dictionary, source = RELAXATION.dictionary(scan.sequence), "phase graphs"
    signals = dictionary.signals(slice(None, None, ATOMS_PER_BASIS))
    basis = temporal_basis(scan, settings, signals)
    closed_form = RELAXATION.closed_form(scan.sequence, basis)
    inversion = echo_times(scan, settings, RELAXATION, basis, signals)
    return Chain(
        [
            *imaging(scan, settings, 0.0),
            to_fingerprints(scan, settings, RELAXATION, basis, lambda: dictionary, closed_form, False, inversion),
            DictionaryMatching(scan, RELAXATION, dictionary, source, settings.matcher),
            *refinement(scan, settings, closed_form),
            *consistency(scan, settings, closed_form, 0.0, MATCHING),
            *denoising(scan, settings, closed_form, MATCHING, settings.kind_of_images),
            PhysicsCheck(scan, closed_form, MOST_FLAGGED_BY_SEARCH),
            *([PulseCorrection(scan, basis)] if settings.refine != "off" else []),
            MapImages(scan, settings.datatype),
        ],
        scan.cancellation,
    )


@pipeline("mrf_t1t2_net", T1T2NetSettings, RELAXATION)
def mrf_t1t2_net(scan: ScanContext, settings: T1T2NetSettings) -> Chain:
    """T1 and T2 of gradient-spoiled trains by a network; conjugation does not show in their real signals."""
    return _by_network(scan, settings, check_conjugation=False)


def network_path(settings: NetworkSettings) -> Path:
    """The archive that these settings name. Raises InputError for an unknown name."""
    return settings.archive or archive_path(settings.network or settings.default_network)


def shared_network(settings: NetworkSettings) -> SharedNetwork:
    """The network that these settings name, loaded. Raises InputError or FileError when it cannot be."""
    return MODEL_POOL.share(network_path(settings), settings.device, settings.precision)


def warm_up(settings: StreamSettings) -> None:
    """Load the network that scans with these settings will ask for, if any, before the first of them does.

    Raises InputError or FileError when it cannot be loaded; a default that is not shipped concerns only the scan.
    """
    if isinstance(settings, AutoSettings) or not isinstance(settings, NetworkSettings):
        return
    if settings.archive or settings.network or settings.default_network in shipped_networks():
        shared_network(settings)


add_installed_pipelines()
