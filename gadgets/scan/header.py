"""What is known of a scan before its first spoke: the header, the sequence, where to compute, and a ledger."""

import logging
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError, InputError, ScanError
from spokestream.simulator.physics.sequences.loading import load_sequence, preset_names
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

Number = TypeVar("Number", int, float)

__all__ = ["ScanContext", "ScanHeader", "parse_xml", "sequence_from_header"]

LARGEST_MATRIX = 1024
LONGEST_TRAIN = 20_000
MOST_REPETITIONS = 10
"""Limits on what a header may ask for: memory and time grow with all three."""
WEAKEST_FIELD_T, STRONGEST_FIELD_T = 0.01, 30.0
"""Between them lies the field of every scanner."""


@dataclass(frozen=True)
class ScanHeader:
    """The part of an ISMRMRD header that a radial MRF reconstruction needs; anything else is kept in `xml`."""

    xml: str
    encoded_matrix: tuple[int, int, int]
    encoded_fov_mm: tuple[float, float, float]
    recon_matrix: tuple[int, int, int]
    recon_fov_mm: tuple[float, float, float]
    trajectory: str = "radial"
    n_slices: int = 1
    n_channels: int | None = None
    field_strength_t: float | None = None
    noise_bandwidth: float = 1.0
    """`relativeReceiverNoiseBandwidth`: noise power passed by the receive filter, 1 when the header is silent."""
    protocol: str = ""
    measurement_id: str = ""
    te_ms: tuple[float, ...] = ()
    tr_ms: tuple[float, ...] = ()
    ti_ms: tuple[float, ...] = ()
    flip_angle_deg: tuple[float, ...] = ()
    user: dict[str, str] = field(default_factory=dict)
    """User parameters by name, whatever their type, as text."""

    @property
    def oversampling(self) -> float:
        """Readout oversampling: encoded over recon field of view."""
        return self.encoded_fov_mm[0] / self.recon_fov_mm[0]

    @classmethod
    def from_xml(cls, xml: str) -> "ScanHeader":
        """Read an ISMRMRD header leniently: unknown elements and any schema version pass.

        Raises ScanError when it is not XML, no ISMRMRD header, or lacks matrix and field of view.
        """
        root = parse_xml(xml, "ISMRMRD header")
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        if root.tag != "ismrmrdHeader":
            raise ScanError(f"The header's root element is <{root.tag[:40]}>, not <ismrmrdHeader>.")
        encoding = root.find("encoding")
        if encoding is None:
            raise ScanError("The ISMRMRD header has no <encoding>, so matrix and field of view are unknown.")
        try:
            return cls._from_tree(xml, root, encoding)
        except (ValueError, TypeError, OverflowError) as error:
            raise ScanError(f"The ISMRMRD header has an unreadable value ({error}).") from None

    @classmethod
    def _from_tree(cls, xml: str, root: ET.Element, encoding: ET.Element) -> "ScanHeader":
        def text(path: str, default: str = "") -> str:
            return (root.findtext(path) or default).strip()

        def train(name: str) -> tuple[float, ...]:
            return tuple(float(e.text or "") for e in root.findall(f"sequenceParameters/{name}"))

        slices = encoding.findtext("encodingLimits/slice/maximum")
        channels = text("acquisitionSystemInformation/receiverChannels")
        tesla = text("acquisitionSystemInformation/systemFieldStrength_T")
        header = cls(
            xml=xml,
            encoded_matrix=_triple(encoding, "encodedSpace/matrixSize", int),
            encoded_fov_mm=_triple(encoding, "encodedSpace/fieldOfView_mm", float),
            recon_matrix=_triple(encoding, "reconSpace/matrixSize", int),
            recon_fov_mm=_triple(encoding, "reconSpace/fieldOfView_mm", float),
            trajectory=(encoding.findtext("trajectory") or "").strip().lower(),
            n_slices=int(slices) + 1 if slices else 1,
            n_channels=int(channels) if channels else None,
            field_strength_t=float(tesla) if tesla else None,
            noise_bandwidth=float(text("acquisitionSystemInformation/relativeReceiverNoiseBandwidth", "1")),
            protocol=text("measurementInformation/protocolName"),
            measurement_id=text("measurementInformation/measurementID"),
            te_ms=train("TE"),
            tr_ms=train("TR"),
            ti_ms=train("TI"),
            flip_angle_deg=train("flipAngle_deg"),
            user={
                (e.findtext("name") or "").strip(): (e.findtext("value") or "").strip()
                for e in root.findall("userParameters/*")
            },
        )
        if max(header.recon_matrix) > LARGEST_MATRIX:
            raise ScanError(f"The recon matrix {header.recon_matrix} is larger than {LARGEST_MATRIX} pixels a side.")
        numbers = (*header.encoded_matrix, *header.encoded_fov_mm, *header.recon_matrix, *header.recon_fov_mm)
        if not all(np.isfinite(numbers)) or min(numbers) <= 0:
            raise ScanError("The ISMRMRD header has a matrix or field of view that is not positive.")
        if not 0.5 <= header.oversampling <= 16:
            raise ScanError(f"The header's readout oversampling is {header.oversampling:g}, which no scanner uses.")
        if header.field_strength_t is not None and not WEAKEST_FIELD_T < header.field_strength_t < STRONGEST_FIELD_T:
            raise ScanError(f"The header's field strength is {header.field_strength_t:g} T.")
        return header


def parse_xml(text: str, what: str) -> ET.Element:
    """The root element of XML from a peer or a file. Raises ScanError, which says `what` it is that cannot be read."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ScanError(f"The {what} declares XML entities; it was refused.")
    try:
        return ET.fromstring(text)  # noqa: S314  entities are refused above, the size is bounded by the wire
    except ET.ParseError as error:
        raise ScanError(f"The {what} is not well-formed XML ({error}).") from None


def _triple(encoding: ET.Element, path: str, kind: type[Number]) -> tuple[Number, Number, Number]:
    element = encoding.find(path)
    if element is None:
        raise ScanError(f"The ISMRMRD header lacks <{path}>.")
    x, y, z = (kind(element.findtext(axis) or "") for axis in "xyz")
    return x, y, z


def sequence_from_header(header: ScanHeader, default: str) -> PulseSequence:
    """The MRF sequence of a scan: trains in the header, else the preset that it names, else `default`.

    TE, TR and flip angle may hold one value or one per spoke; what is missing is taken from the preset.
    Raises ScanError when trains disagree in length, are impossible or too long, or a preset is named that does not
    exist and the trains do not say it all.
    """
    trains = {"te_ms": header.te_ms, "tr_ms": header.tr_ms, "flip_angle_deg": header.flip_angle_deg}
    named = header.user.get("mrf_sequence", default)
    if named not in preset_names():  # never a path: a header names no file of ours
        if named != default and min(len(values) for values in trains.values()) < 2:
            raise ScanError(
                f"The header names the sequence '{named[:64]}' without its trains; "
                f"known are {', '.join(preset_names())}."
            )
        named = default
    try:
        preset = load_sequence(named)
    except (FileError, InputError) as error:
        raise ScanError(str(error)) from None
    lengths = {len(values) for values in trains.values() if len(values) > 1}
    if len(lengths) > 1:
        raise ScanError(f"The header's TE, TR and flip angle trains differ in length: {sorted(lengths)} values.")
    if not lengths:  # one echo time in the header, say, is no train
        trains = dict.fromkeys(trains, ())
    n_spokes = lengths.pop() if lengths else len(preset)
    if n_spokes > LONGEST_TRAIN:
        raise ScanError(f"The header's trains have {n_spokes} spokes, more than {LONGEST_TRAIN}.")

    def train(name: str) -> NDArray[np.float64]:
        values = trains[name] or tuple(getattr(preset, name))
        if len(values) not in (1, n_spokes):
            raise ScanError(f"The header gives {n_spokes} spokes a train but no {name} for them.")
        return np.broadcast_to(np.asarray(values, float), n_spokes).copy()

    try:
        repetitions = round(float(header.user.get("mrf_repetitions", preset.repetitions)))
        if repetitions > MOST_REPETITIONS:
            raise ValueError(f"more than {MOST_REPETITIONS} repetitions")
        return PulseSequence(
            name=header.user.get("mrf_sequence", "from header" if any(trains.values()) else preset.name),
            flip_angle_deg=train("flip_angle_deg"),
            te_ms=train("te_ms"),
            tr_ms=train("tr_ms"),
            ti_ms=header.ti_ms[0] if header.ti_ms else preset.ti_ms,
            recovery_ms=float(header.user.get("mrf_recovery_ms", preset.recovery_ms)),
            repetitions=repetitions,
            spokes_per_frame=round(float(header.user.get("mrf_spokes_per_frame", preset.spokes_per_frame))),
            # a train of another length is no longer the preset's, but it is spoiled in the same way
            rf_phase_deg=preset.rf_phase_deg if n_spokes == len(preset) else np.zeros(n_spokes),
            spoiling=header.user.get("mrf_spoiling", preset.spoiling),  # type: ignore[arg-type]  # checked there
            inversion=header.user.get("mrf_inversion", str(preset.inversion)).lower() != "false",
        )
    except (ValueError, OverflowError, InputError) as error:
        raise ScanError(f"The header's MRF sequence is impossible: {error}.") from None


@dataclass
class ScanContext:
    """Handed to every gadget at the start of a scan."""

    header: ScanHeader
    sequence: PulseSequence
    threads: int = 2
    """CPU threads for one gadget's computation."""
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("spokestream"))
    """What it is told as a warning also reaches the client as TEXT."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Filled by the gadgets, written into the metadata of every image: where trajectory, noise, ... came from."""
