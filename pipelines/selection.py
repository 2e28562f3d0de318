"""Which pipeline a scan is reconstructed with, and how its chain is built.

A scanner selects a registered name and sets declared parameters, nothing else.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from spokestream.errors import InputError
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader, parse_xml
from spokestream.gadgets.scan.header_sequence import sequence_from_header
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.gadgets.scan.main_field import main_field
from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.encoding_choice import ChainOfFirstEncoding
from spokestream.pipelines.settings import StreamSettings
from spokestream.settings import layered, replace_settings

__all__ = ["Selection", "configure", "select", "start_scan"]

PROVENANCE = ("sequence", "sequence_source", "field_strength")


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
    return {name: layered(pipeline.settings(), *layers) for name, pipeline in PIPELINES.items()}


def select(text: str, default: str | None = None, settings: Mapping[str, StreamSettings] | None = None) -> Selection:
    """Read the configuration that a scanner sent: a pipeline's name, or XML with a name and properties.

    `<configuration pipeline="mrf_t1ff"><property name="virtual_coils" value="8"/></configuration>`

    Args:
        text: the configuration.
        default: the pipeline if the text names none.
        settings: the operator's settings of every pipeline, from `configure`, which the properties change; by default
            those of the declarations.

    Raises InputError for an unknown pipeline or parameter, which lists the known ones, and ScanError for broken XML.

    """
    settings = configure() if settings is None else settings
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
    """Read the header and build the chain of a scan. Raises SpokestreamError when the scan cannot be served."""
    header = ScanHeader.from_xml(header_xml)
    if header.n_encodings > 1:
        return ChainOfFirstEncoding(
            lambda encoding: _build(selection, ScanHeader.from_xml(header_xml, encoding), log), log
        )
    return _build(selection, header, log)


def _build(selection: Selection, header: ScanHeader, log: logging.Logger) -> Chain:
    settings = selection.settings
    found, main = sequence_from_header(header, settings.sequence), main_field(header)
    scan = ScanContext(
        header,
        found.sequence,
        settings.threads,
        log,
        integrity=IntegrityLedger(strict=settings.integrity == "strict"),
    )
    scan.provenance["pipeline"] = selection.name
    scan.provenance["sequence"] = f"{scan.sequence.name}, {len(scan.sequence)} spokes"
    scan.provenance["sequence_source"] = found.source
    scan.provenance["field_strength"] = f"{main.tesla:g} T, {main.source}"
    log.info("The sequence is %s (%s), the field %s.", *(scan.provenance[key] for key in PROVENANCE))
    for sentence in (*found.warnings, *filter(None, [main.warning])):
        log.warning("%s", sentence)
    return PIPELINES[selection.name].build(scan, settings)


def _registered(name: str) -> str:
    name = name.strip().removesuffix(".xml")
    if name not in PIPELINES:
        raise InputError(f"There is no pipeline '{name[:64]}'; known are {', '.join(sorted(PIPELINES))}.")
    return name
