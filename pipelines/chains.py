"""The pipelines that exist, and how a scan starts one. A peer selects a registered name and declared parameters."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gadgets.accumulation import SpokeAccumulation
from gadgets.basis import compressed_basis, frame_basis
from gadgets.compression import CoilCompression
from gadgets.gadget import Chain
from gadgets.gridding import Gridding
from gadgets.map_images import MapImages
from gadgets.matching import DictionaryMatching
from gadgets.readout import Readout
from gadgets.scan import ScanContext, ScanError, ScanHeader, parse_xml, sequence_from_header
from gadgets.whitening import NoiseWhitening
from pipelines.settings import T1FFSettings, read_settings
from simulator.dictionary import build_dictionary, load_dictionary
from simulator.signal import REFERENCE_FIELD_T, FatModel

__all__ = ["PIPELINES", "Selection", "pipeline", "select", "start_scan"]

Build = Callable[[ScanContext, T1FFSettings], Chain]
PIPELINES: dict[str, Build] = {}
DEFAULTS = T1FFSettings()


def pipeline(name: str) -> Callable[[Build], Build]:
    """Register a function that composes a chain under the name by which scanners ask for it."""

    def register(build: Build) -> Build:
        PIPELINES[name] = build
        return build

    return register


@pipeline("mrf_t1ff")
def mrf_t1ff(scan: ScanContext, settings: T1FFSettings) -> Chain:
    """MRF T1-FF: fat fraction, water and fat T1, off-resonance and B1 by dictionary matching."""
    field_t = scan.header.field_strength_t or REFERENCE_FIELD_T
    demodulation_hz = settings.demodulation_hz * field_t / REFERENCE_FIELD_T
    if settings.dictionary:
        dictionary, source = load_dictionary(Path(settings.dictionary)), Path(settings.dictionary).name
    else:
        dictionary, source = build_dictionary(scan.sequence, spectrum=FatModel().at(field_t)), "closed form"
    make_basis = frame_basis if settings.basis == "frames" else compressed_basis
    basis = make_basis(scan.sequence, dictionary.atoms)
    scan.provenance["basis"] = f"{settings.basis}, {basis.weights.shape[1]} images"
    return Chain(
        [
            NoiseWhitening(),
            Readout(settings.trajectory, settings.integrity, settings.max_missing, demodulation_hz),
            CoilCompression(settings.coils),
            SpokeAccumulation(),
            Gridding(basis),
            DictionaryMatching(dictionary, source),
            MapImages(settings.datatype),
        ]
    )


@dataclass(frozen=True)
class Selection:
    """A registered pipeline and its settings."""

    name: str
    settings: T1FFSettings = DEFAULTS

    def with_parameters(self, parameters: Mapping[str, str], *, trusted: bool = False) -> "Selection":
        """Replace settings by values that come as text; `config` may name another registered pipeline."""
        values = dict(parameters)
        name = values.pop("config", self.name)
        return Selection(_registered(name), read_settings(self.settings, values, trusted=trusted))


def select(text: str, default: str | None = None, settings: T1FFSettings = DEFAULTS) -> Selection:
    """Read the configuration that a peer sent: a pipeline's name, or XML with a name and properties.

    `<configuration pipeline="mrf_t1ff"><property name="coils" value="8"/></configuration>`; without the attribute
    `default` is taken. `settings` are the operator's, which the peer's properties change. Raises ScanError that
    lists the known pipelines or parameters.
    """
    text = text.strip()
    if not text.startswith("<"):
        return Selection(_registered(text or default or ""), settings)
    root = parse_xml(text, "configuration")
    if root.tag != "configuration":
        raise ScanError(f"The configuration's root element is <{root.tag[:64]}>, not <configuration>.")
    properties = {p.get("name", ""): p.get("value", "") for p in root.iter("property")}
    return Selection(_registered(root.get("pipeline") or default or ""), settings).with_parameters(properties)


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
        raise ScanError(f"There is no pipeline '{name[:64]}'; known are {', '.join(sorted(PIPELINES))}.")
    return name
