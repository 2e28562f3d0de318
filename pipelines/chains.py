"""The pipelines that exist, and how a scan starts one. A scanner selects a registered name and declared parameters."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.coil_compression import CoilCompression
from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.gridding import Gridding
from spokestream.gadgets.map_images import MapImages
from spokestream.gadgets.network_inference import NetworkInference, check_scan
from spokestream.gadgets.noise_whitening import NoiseWhitening
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.scan.header import ScanContext, ScanHeader, parse_xml, sequence_from_header
from spokestream.gadgets.scan.main_field import fat_spectrum, field_t
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation
from spokestream.models.archives import archive_path, shipped_networks
from spokestream.pipelines.node.model_pool import MODEL_POOL, SharedNetwork
from spokestream.pipelines.settings import SETTINGS, StreamSettings, T1FFNetSettings, T1FFSettings
from spokestream.settings import layered, replace_settings
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary, load_dictionary
from spokestream.simulator.physics.signal import REFERENCE_FIELD_T
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis, frame_basis
from spokestream.simulator.physics.tissue_models.water_fat import ClosedForm

__all__ = ["PIPELINES", "Selection", "configure", "pipeline", "select", "shared_network", "start_scan", "warm_up"]

PIPELINES: dict[str, Callable[[ScanContext, Any], Chain]] = {}
DEFAULTS: dict[str, StreamSettings] = {name: settings() for name, settings in SETTINGS.items()}

Build = TypeVar("Build", bound=Callable[[ScanContext, Any], Chain])


def pipeline(name: str) -> Callable[[Build], Build]:
    """Register a function that composes a chain under the name by which scanners ask for it; see `SETTINGS`."""

    def register(build: Build) -> Build:
        PIPELINES[name] = build
        return build

    return register


@pipeline("mrf_t1ff")
def mrf_t1ff(scan: ScanContext, settings: T1FFSettings) -> Chain:
    """MRF T1-FF: fat fraction, water and fat T1, off-resonance and B1 by dictionary matching."""
    if settings.dictionary:
        dictionary, source = load_dictionary(Path(settings.dictionary)), Path(settings.dictionary).name
    else:
        dictionary, source = build_dictionary(scan.sequence, spectrum=fat_spectrum(scan)), "closed form"
    demodulation_hz = settings.demodulation_hz * field_t(scan) / REFERENCE_FIELD_T
    make_basis = frame_basis if settings.basis == "frames" else compressed_basis
    basis = make_basis(scan.sequence, dictionary.atoms)
    scan.provenance["basis"] = f"{settings.basis}, {basis.weights.shape[1]} images"
    return Chain(
        [
            *_imaging(settings, basis, demodulation_hz),
            DictionaryMatching(dictionary, source),
            MapImages(settings.datatype),
        ]
    )


@pipeline("mrf_t1ff_net")
def mrf_t1ff_net(scan: ScanContext, settings: T1FFNetSettings) -> Chain:
    """MRF T1-FF: the same maps by a network, each slice checked against the physics."""
    shared = shared_network(settings)
    contract = shared.network.contract
    check_scan(contract, scan)
    basis = contract.basis
    scan.provenance["basis"] = f"of the network, {basis.weights.shape[1]} images"
    closed_form = ClosedForm(scan.sequence, basis, fat_spectrum(scan))
    demodulation_hz = contract.demodulation_hz * field_t(scan) / contract.field_t
    return Chain(
        [
            *_imaging(settings, basis, demodulation_hz),
            NetworkInference(shared.network, shared.turns.turn, closed_form),
            PhysicsCheck(closed_form),
            MapImages(settings.datatype),
        ]
    )


def shared_network(settings: T1FFNetSettings) -> SharedNetwork:
    """The network that these settings name, warm. Raises ValueError when it cannot be had."""
    path = Path(settings.archive) if settings.archive else archive_path(settings.network)
    return MODEL_POOL.share(path, settings.device, settings.precision)


def warm_up(settings: StreamSettings) -> None:
    """Load the network that scans with these settings will ask for, if any, before the first of them does.

    Raises ValueError when it cannot be had; that the default is not shipped only the scan needs to know.
    """
    if not isinstance(settings, T1FFNetSettings):
        return
    if settings.archive or settings.network != T1FFNetSettings.network or settings.network in shipped_networks():
        shared_network(settings)


def _imaging(settings: StreamSettings, basis: TemporalBasis, demodulation_hz: float) -> list[Gadget[Any, Any]]:
    """From readouts to the fingerprints of a slice."""
    return [
        NoiseWhitening(),
        Readout(settings.trajectory, settings.integrity, settings.max_missing, demodulation_hz),
        CoilCompression(settings.virtual_coils),
        SpokeAccumulation(),
        Gridding(basis),
    ]


@dataclass(frozen=True)
class Selection:
    """A registered pipeline and its settings."""

    name: str
    settings: StreamSettings
    offered: Mapping[str, StreamSettings] = field(repr=False)
    """The operator's settings of every pipeline."""

    def with_parameters(self, parameters: Mapping[str, object], *, trusted: bool = False) -> "Selection":
        """The selection with some settings replaced.

        Args:
            parameters: name -> value, as text or in the type of the setting. `config` names another pipeline, which
                starts from the operator's settings of it.
            trusted: whether the operator gives them; a scanner may set only the settings that are declared for it.

        Raises InputError for unknown names, which lists the known ones, and for values that are not allowed.

        """
        values = dict(parameters)
        name = _registered(str(values.pop("config", self.name)))
        settings = self.settings if name == self.name else self.offered[name]
        return replace(self, name=name, settings=replace_settings(settings, values, peer=not trusted))


def configure(*layers: Mapping[str, object]) -> dict[str, StreamSettings]:
    """The operator's settings of all pipelines, for `select`.

    Args:
        layers: name -> value, each for those pipelines that have such a setting. A later layer takes precedence over an
            earlier one; what a scanner asks for takes precedence over all of them, see `Selection`.

    Raises InputError for values that are not allowed.

    """
    return {name: layered(settings, *layers) for name, settings in DEFAULTS.items()}


def select(text: str, default: str | None = None, settings: Mapping[str, StreamSettings] = DEFAULTS) -> Selection:
    """Read the configuration that a scanner sent: a pipeline's name, or XML with a name and properties.

    `<configuration pipeline="mrf_t1ff"><property name="virtual_coils" value="8"/></configuration>`

    Args:
        text: the configuration.
        default: the pipeline if the text names none.
        settings: the operator's settings of every pipeline, from `configure`, which the properties change.

    Raises InputError for an unknown pipeline or parameter, which lists the known ones, and ScanError for broken XML.

    """
    text = text.strip()
    if not text.startswith("<"):
        name = _registered(text or default or "")
        return Selection(name, settings[name], settings)
    root = parse_xml(text, "configuration")
    if root.tag != "configuration":
        raise InputError(f"The configuration's root element is <{root.tag[:64]}>, not <configuration>.")
    properties = {p.get("name", ""): p.get("value", "") for p in root.iter("property")}
    name = _registered(root.get("pipeline") or default or "")
    return Selection(name, settings[name], settings).with_parameters(properties)


def start_scan(selection: Selection, header_xml: str, log: logging.Logger) -> Chain:
    """Read the header, compose the chain and start it; raises ScanError, and leaves nothing open then."""
    header = ScanHeader.from_xml(header_xml)
    settings = selection.settings
    scan = ScanContext(header, sequence_from_header(header, settings.sequence), settings.threads, log)
    scan.provenance["pipeline"] = selection.name
    scan.provenance["sequence"] = f"{scan.sequence.name}, {len(scan.sequence)} spokes"
    try:
        chain = PIPELINES[selection.name](scan, settings)
    except ValueError as error:
        raise ScanError(str(error)) from None
    try:
        chain.start(scan)
    except BaseException:
        chain.close()
        raise
    return chain


def _registered(name: str) -> str:
    name = name.strip().removesuffix(".xml")
    if name not in PIPELINES:
        raise InputError(f"There is no pipeline '{name[:64]}'; known are {', '.join(sorted(PIPELINES))}.")
    return name
