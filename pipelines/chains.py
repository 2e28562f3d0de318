"""The pipelines that exist, and how a scan starts one. A peer selects a registered name and declared parameters."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from spokestream.errors import ScanError
from spokestream.gadgets.coil_compression import CoilCompression
from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.gridding import Gridding
from spokestream.gadgets.map_images import MapImages
from spokestream.gadgets.network_inference import NetworkInference, check_scan
from spokestream.gadgets.noise_whitening import NoiseWhitening
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader, parse_xml
from spokestream.gadgets.scan.header_sequence import sequence_from_header
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation
from spokestream.models.archives import archive_path, shipped_networks
from spokestream.pipelines.node.model_pool import MODEL_POOL, SharedNetwork
from spokestream.pipelines.settings import SETTINGS, StreamSettings, T1FFNetSettings, T1FFSettings, read_settings
from spokestream.simulator.physics.signal import REFERENCE_FIELD_T
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis, frame_basis
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

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
        path = Path(settings.dictionary)
        dictionary, source = WATER_FAT.load_dictionary(path), path.name
    else:
        dictionary, source = WATER_FAT.dictionary(scan.sequence, scan.field_t), "closed form"
    demodulation_hz = settings.demodulation_hz * scan.field_t / REFERENCE_FIELD_T
    make_basis = frame_basis if settings.basis == "frames" else compressed_basis
    basis = make_basis(scan.sequence, dictionary.atoms)
    scan.provenance["basis"] = f"{settings.basis}, {basis.weights.shape[1]} images"
    return Chain(
        [
            *_imaging(scan, settings, basis, demodulation_hz),
            DictionaryMatching(scan, WATER_FAT, dictionary, source),
            MapImages(scan, settings.datatype),
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
    closed_form = contract.model.closed_form(scan.sequence, basis, scan.field_t)
    demodulation_hz = contract.demodulation_hz * scan.field_t / contract.field_t
    return Chain(
        [
            *_imaging(scan, settings, basis, demodulation_hz),
            NetworkInference(scan, shared.network, shared.lock.held, closed_form),
            PhysicsCheck(scan, closed_form),
            MapImages(scan, settings.datatype),
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


def _imaging(
    scan: ScanContext, settings: StreamSettings, basis: TemporalBasis, demodulation_hz: float
) -> list[Gadget[Any, Any]]:
    """The gadgets from readouts to the fingerprints of a slice."""
    return [
        NoiseWhitening(scan),
        Readout(scan, settings.trajectory, settings.max_missing, demodulation_hz),
        CoilCompression(scan, settings.coils),
        SpokeAccumulation(scan),
        Gridding(scan, basis),
    ]


@dataclass(frozen=True)
class Selection:
    """A registered pipeline and its settings."""

    name: str
    settings: StreamSettings
    offered: Mapping[str, StreamSettings] = field(repr=False)
    """What the operator set for every pipeline."""

    def with_parameters(self, parameters: Mapping[str, str], *, trusted: bool = False) -> "Selection":
        """Replace settings by values that come as text; `config` may name another pipeline, with the operator's."""
        values = dict(parameters)
        name = _registered(values.pop("config", self.name))
        settings = self.settings if name == self.name else self.offered[name]
        return replace(self, name=name, settings=read_settings(settings, values, trusted=trusted))


def configure(values: Mapping[str, str]) -> dict[str, StreamSettings]:
    """Settings of all pipelines as the operator wants them: each value is for those that have such a setting.

    Raises ScanError for impossible values.
    """
    return {
        name: read_settings(settings, {key: values[key] for key in values if hasattr(settings, key)}, trusted=True)
        for name, settings in DEFAULTS.items()
    }


def select(text: str, default: str | None = None, settings: Mapping[str, StreamSettings] = DEFAULTS) -> Selection:
    """Read the configuration that a peer sent: a pipeline's name, or XML with a name and properties.

    `<configuration pipeline="mrf_t1ff"><property name="coils" value="8"/></configuration>`; without the attribute
    `default` is taken. `settings` are the operator's, see `configure`, which the peer's properties change. Raises
    ScanError that lists the known pipelines or parameters.
    """
    text = text.strip()
    if not text.startswith("<"):
        name = _registered(text or default or "")
        return Selection(name, settings[name], settings)
    root = parse_xml(text, "configuration")
    if root.tag != "configuration":
        raise ScanError(f"The configuration's root element is <{root.tag[:64]}>, not <configuration>.")
    properties = {p.get("name", ""): p.get("value", "") for p in root.iter("property")}
    name = _registered(root.get("pipeline") or default or "")
    return Selection(name, settings[name], settings).with_parameters(properties)


def start_scan(selection: Selection, header_xml: str, log: logging.Logger) -> Chain:
    """Read the header and build the chain of a scan. Raises SpokestreamError when the scan cannot be served."""
    header = ScanHeader.from_xml(header_xml)
    settings = selection.settings
    scan = ScanContext(
        header,
        sequence_from_header(header, settings.sequence),
        settings.threads,
        log,
        integrity=IntegrityLedger(strict=settings.integrity == "strict"),
    )
    scan.provenance["pipeline"] = selection.name
    scan.provenance["sequence"] = f"{scan.sequence.name}, {len(scan.sequence)} spokes"
    return PIPELINES[selection.name](scan, settings)


def _registered(name: str) -> str:
    name = name.strip().removesuffix(".xml")
    if name not in PIPELINES:
        raise ScanError(f"There is no pipeline '{name[:64]}'; known are {', '.join(sorted(PIPELINES))}.")
    return name
