"""The ISMRMRD header of a scan. Unknown elements and any version of the schema are accepted."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from spokestream.errors import ScanError

Number = TypeVar("Number", int, float)

__all__ = ["STRONGEST_FIELD_T", "WEAKEST_FIELD_T", "ScanHeader", "parse_xml"]

LARGEST_MATRIX = 1024
"""Largest number of pixels per side, because the memory grows with it."""
WEAKEST_FIELD_T, STRONGEST_FIELD_T = 0.01, 30.0
"""Limits for the main field; every scanner is between them."""


@dataclass(frozen=True)
class ScanHeader:
    """The part of an ISMRMRD header that a radial MRF reconstruction needs; `xml` is the whole header."""

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
    """`relativeReceiverNoiseBandwidth`: fraction of the noise power that the receive filter passes; 1 by default."""
    protocol: str = ""
    measurement_id: str = ""
    te_ms: tuple[float, ...] = ()
    tr_ms: tuple[float, ...] = ()
    ti_ms: tuple[float, ...] = ()
    flip_angle_deg: tuple[float, ...] = ()
    user: dict[str, str] = field(default_factory=dict)
    """User parameters of all types by name, as text."""

    @property
    def oversampling(self) -> float:
        """Readout oversampling: the encoded field of view over the recon field of view."""
        return self.encoded_fov_mm[0] / self.recon_fov_mm[0]

    @classmethod
    def from_xml(cls, xml: str) -> "ScanHeader":
        """Read an ISMRMRD header; unknown elements and any version of the schema are accepted.

        Raises ScanError if it is not XML, is no ISMRMRD header, or has no matrix or field of view.
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
    """The root element of XML from a client or a file. Raises ScanError if `what`, such as "header", is unreadable."""
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
