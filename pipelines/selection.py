"""Which pipeline a scan is reconstructed with, and how its chain is built.

A scanner selects a registered name and sets declared parameters, nothing else. The name `auto` stands for the first
pipeline that has the given parameters and gives the maps that the scan's sequence encodes.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.imaging.sliding_window import check_basis_of_window
from spokestream.gadgets.network.device import choose_device
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.header_sequence import sequence_from_header
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.gadgets.scan.main_field import main_field
from spokestream.gadgets.scan.xml_tree import parse_xml
from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.encoding_choice import ChainOfFirstEncoding
from spokestream.pipelines.settings import AUTO, AutoSettings, MatchingSettings, StreamSettings
from spokestream.settings import Declaration, declarations, layered, replace_settings
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.tissue_models.registry import model_of_sequence

__all__ = ["Selection", "configure", "select", "start_scan"]

UNNAMED = ("", "default", "openrecon")
"""Configurations by which FIRE and OpenRecon name no pipeline: they may name one among their JSON parameters."""
MOST_PROPERTIES = 1000
"""Largest number of elements of a configuration, which is read while other clients wait."""
PROVENANCE = ("sequence", "sequence_source", "field_strength")


@dataclass(frozen=True)
class Selection:
    """A registered pipeline, or `auto`, and its settings."""

    name: str
    settings: StreamSettings
    offered: Mapping[str, StreamSettings] = field(repr=False)
    """The operator's settings of every pipeline."""
    given: frozenset[str] = frozenset()
    """Names of the settings that were given for this scan."""

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
        same = name == self.name
        given = (self.given if same else frozenset()) | values.keys()
        settings = replace_settings(self.settings if same else self.offered[name], values, peer=not trusted)
        if name == AUTO and not _pipelines_with(given):
            special = _not_of_all(given, PIPELINES)
            raise InputError(f"No pipeline has the settings {' and '.join(special)} together.")
        return replace(self, name=name, settings=settings, given=given)

    def as_console_asks(self, parameters: Mapping[str, object]) -> tuple["Selection", list[str]]:
        """The selection with the JSON parameters of a scanner's console, and the names among them that no setting has.

        Consoles send all parameters of their page, changed or not: a value that is the node's own counts as not given,
        and so does an empty text where a setting may have none. They also send parameters that are not for the
        reconstruction. Names may lack their underscores, because those of OpenRecon have letters and digits only.
        Raises InputError for an unknown pipeline, and values that are not allowed.
        """
        pipeline = parameters.get("config", self.name)
        asked = self.with_parameters({"config": self.name if _names_none(str(pipeline)) else pipeline})
        values: dict[str, object] = {}
        unknown = []
        declared = _by_plain_name(asked.settings)
        others = [(other, _by_plain_name(other)) for other in self.offered.values()]
        for name, value in parameters.items():
            own = declared.get(_plain(name))
            if name == "config" or _is_unchanged(value, asked.settings, own):
                continue
            if own:
                values[own.name] = value
            elif not any(_is_unchanged(value, other, theirs.get(_plain(name))) for other, theirs in others):
                unknown.append(name)
        return asked.with_parameters(values), unknown

    def of_sequence(self, sequence: PulseSequence) -> "Selection":
        """The selection in which `auto` is replaced by the pipeline for a sequence; other selections are the same.

        Raises InputError if no pipeline with the given settings has maps that the sequence encodes, and ScanError if
        the named pipeline has others, which names the one that serves the sequence.
        """
        if self.name == AUTO:
            fitting = _encoded_by(sequence, _pipelines_with(self.given))
            if not fitting:
                encoded = model_of_sequence(sequence)
                lacking = _not_of_all(self.given, _encoded_by(sequence, PIPELINES))
                raise InputError(
                    f"The sequence '{sequence.name}' encodes {encoded.title}, for which no pipeline has the "
                    f"setting{'s' if len(lacking) > 1 else ''} {' and '.join(lacking)}."
                )
            values = {name: getattr(self.settings, name) for name in self.given}
            return replace(self, name=fitting[0], settings=replace(self.offered[fitting[0]], **values))
        model = PIPELINES[self.name].model
        if model is not None and (reason := model.refusal(sequence)):
            others = _encoded_by(sequence, PIPELINES)
            advice = f" The pipeline {others[0]} can; ask for it, or for {AUTO}." if others else ""
            raise ScanError(f"The pipeline {self.name} cannot map this scan: {reason}{advice}")
        return self


def configure(*layers: Mapping[str, object]) -> dict[str, StreamSettings]:
    """The operator's settings of all pipelines, for `select`.

    Args:
        layers: name -> value, each for those pipelines that have such a setting. A later layer takes precedence over an
            earlier one; what a scanner asks for takes precedence over all of them, see `Selection`.

    Raises InputError for values that are not allowed.

    """
    kinds: dict[str, type[StreamSettings]] = {name: pipeline.settings for name, pipeline in PIPELINES.items()}
    kinds[AUTO] = AutoSettings
    return {name: layered(kind(), *layers) for name, kind in kinds.items()}


def select(text: str, default: str = AUTO, settings: Mapping[str, StreamSettings] | None = None) -> Selection:
    """Read the configuration that a scanner sent: a pipeline's name, or XML with a name and properties.

    `<configuration pipeline="mrf_t1ff"><property name="virtual_coils" value="8"/></configuration>`

    Args:
        text: the configuration.
        default: the pipeline if the text names none, as `default` and `openrecon` do.
        settings: the operator's settings of every pipeline, from `configure`, which the properties change; by default
            those of the declarations.

    Raises InputError for an unknown pipeline or parameter, which lists the known ones, and ScanError for broken XML.

    """
    settings = configure() if settings is None else settings
    text = text.strip()
    if not text.startswith("<"):
        name = _registered(default if _names_none(text) else text)
        return Selection(name, settings[name], settings)
    root = parse_xml(text, "configuration", MOST_PROPERTIES)
    if root.tag != "configuration":
        raise InputError(f"The configuration's root element is <{root.tag[:64]}>, not <configuration>.")
    properties = {p.get("name", ""): p.get("value", "") for p in root.iter("property")}
    name = _registered(root.get("pipeline") or default)
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
    found, main = sequence_from_header(header, selection.settings.sequence), main_field(header)
    automatic, selection = selection.name == AUTO, selection.of_sequence(found.sequence)
    settings = selection.settings
    if isinstance(settings, MatchingSettings):
        check_basis_of_window(settings.basis, selection.given)
    scan = ScanContext(
        header,
        found.sequence,
        settings.threads,
        log,
        integrity=IntegrityLedger(strict=settings.integrity == "strict"),
        device=choose_device(settings.device).type,
    )
    scan.provenance["pipeline"] = selection.name
    scan.provenance["sequence"] = f"{scan.sequence.name}, {len(scan.sequence)} spokes"
    scan.provenance["sequence_source"] = found.source
    scan.provenance["field_strength"] = f"{main.tesla:g} T, {main.source}"
    log.info("The sequence is %s (%s), the field %s.", *(scan.provenance[key] for key in PROVENANCE))
    if automatic:
        log.info("The sequence takes the pipeline %s.", selection.name)
    for sentence in (*found.warnings, *filter(None, [main.warning])):
        log.warning("%s", sentence)
    return PIPELINES[selection.name].build(scan, settings)


def _names_none(text: str) -> bool:
    return text.strip().removesuffix(".xml").lower() in UNNAMED


def _plain(name: str) -> str:
    """A name without what OpenRecon does not allow in it."""
    return name.replace("_", "").lower()


def _by_plain_name(settings: StreamSettings) -> dict[str, Declaration]:
    """The declarations of the settings that a scanner may set, by plain name."""
    return {_plain(d.name): d for d in declarations(type(settings)).values() if d.peer}


def _is_unchanged(value: object, settings: StreamSettings, declared: Declaration | None) -> bool:
    """Whether the value of a console is what these settings have anyway."""
    if declared is None:
        return False
    if value == "":
        return declared.optional
    try:
        return bool(declared.read(value) == getattr(settings, declared.name))
    except InputError:
        return False


def _registered(text: str) -> str:
    name = text.strip().removesuffix(".xml")
    name = {_plain(known): known for known in (AUTO, *PIPELINES)}.get(_plain(name), name)
    if name not in (AUTO, *PIPELINES):
        raise InputError(f"There is no pipeline '{name[:64]}'; known are {', '.join((AUTO, *sorted(PIPELINES)))}.")
    return name


def _pipelines_with(given: Collection[str]) -> list[str]:
    """The pipelines that have all these settings and say for which maps they are."""
    return [
        name
        for name, pipeline in PIPELINES.items()
        if pipeline.model and {*given} <= pipeline.settings.__dataclass_fields__.keys()
    ]


def _not_of_all(given: Collection[str], names: Collection[str]) -> list[str]:
    """Those of these settings that one of these pipelines lacks, in order."""
    shared = [PIPELINES[name].settings.__dataclass_fields__.keys() for name in names]
    return [setting for setting in sorted(given) if not all(setting in fields for fields in shared)]


def _encoded_by(sequence: PulseSequence, names: Collection[str]) -> list[str]:
    """Those of these pipelines whose maps a sequence encodes."""
    models = {name: PIPELINES[name].model for name in names}
    return [name for name, model in models.items() if model and model.refusal(sequence) is None]
