"""The ISMRMRD header of a scan. Unknown elements and any version of the schema are accepted.

ISMRMRD's C++ library keeps the header's real numbers in single precision. They are read in the same way here, so that a
scan from a file has the same maps as the scan that passed through Gadgetron.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from spokestream.errors import ScanError
from spokestream.gadgets.scan.xml_tree import parse_xml

Number = TypeVar("Number", int, float)

__all__ = ["STRONGEST_FIELD_T", "WEAKEST_FIELD_T", "ScanHeader", "single"]

LARGEST_MATRIX = 1024
"""Largest number of pixels per side, because the memory grows with it."""
WEAKEST_FIELD_T, STRONGEST_FIELD_T = 0.01, 30.0
"""Limits for the main field; every scanner is between them."""
NARROWEST_FOV_MM, WIDEST_FOV_MM = 2.0, 2000.0
"""Limits for the recon field of view in plane. A human scanner's is below 2 metres, so that metres are recognised."""
MOST_SLICES = 1024
MOST_CHANNELS = 1024
MOST_ENCODINGS = 64
WIDEST_NOISE_BAND = 100.0
LARGEST_WHOLE = 1e6
"""Upper limits for numbers in a header, far above those of scanners."""
LARGEST_SINGLE = float(np.finfo(np.float32).max)
NOT_WHOLE = 0.01
"""Largest rounding error of a matrix size that a converter computed, such as 35.9996."""


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
    proton_frequency_hz: float | None = None
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
    encoding: int = 0
    """Which of the header's encodings gives matrix, field of view and trajectory."""
    n_encodings: int = 1

    @property
    def oversampling(self) -> float:
        """Readout oversampling: the encoded field of view over the recon field of view."""
        return self.encoded_fov_mm[0] / self.recon_fov_mm[0]

    @classmethod
    def from_xml(cls, xml: str, encoding: int = 0) -> "ScanHeader":
        """Read an ISMRMRD header; unknown elements and any version of the schema are accepted.

        Args:
            xml: the header.
            encoding: which of its encodings to read; readouts name theirs in `encoding_space_ref`.

        Raises ScanError if it is not XML, is no ISMRMRD header, or has no matrix or field of view.

        """
        root, encodings = _root_and_encodings(xml)
        if encoding >= len(encodings):
            raise ScanError(f"The spokes name encoding {encoding + 1}, but the header has {len(encodings)} of them.")
        with _unreadable_told():
            return cls._from_tree(xml, root, encodings, encoding)

    @classmethod
    def every_from_xml(cls, xml: str) -> "list[ScanHeader]":
        """The header by each of its encodings that can be read, of which the first must be.

        Raises ScanError as `from_xml` does.
        """
        root, encodings = _root_and_encodings(xml)
        with _unreadable_told():
            found = [cls._from_tree(xml, root, encodings, 0)]
        for number, other in enumerate(encodings[1:], 1):
            with suppress(ScanError), _unreadable_told():  # a scan of this encoding is refused in the same words
                header = replace(found[0], encoding=number, **_geometry(other))  # the trains are shared
                header._check()
                found.append(header)
        return found

    @classmethod
    def _from_tree(cls, xml: str, root: ET.Element, encodings: list[ET.Element], which: int) -> "ScanHeader":
        def text(path: str, default: str = "") -> str:
            return (root.findtext(path) or default).strip()

        def train(name: str) -> tuple[float, ...]:
            return tuple(single(e.text or "") for e in root.findall(f"sequenceParameters/{name}"))

        channels = text("acquisitionSystemInformation/receiverChannels")
        tesla = text("acquisitionSystemInformation/systemFieldStrength_T")
        proton_hz = text("experimentalConditions/H1resonanceFrequency_Hz")
        header = cls(
            xml=xml,
            **_geometry(encodings[which]),
            n_channels=_whole(channels) if channels else None,
            field_strength_t=(single(tesla) or None) if tesla else None,
            proton_frequency_hz=(float(proton_hz) or None) if proton_hz else None,
            noise_bandwidth=single(text("acquisitionSystemInformation/relativeReceiverNoiseBandwidth", "1")),
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
            encoding=which,
            n_encodings=len(encodings),
        )
        header._check()
        return header

    def _check(self) -> None:
        """Raise ScanError for values that no scanner has."""
        if max(self.recon_matrix) > LARGEST_MATRIX:
            raise ScanError(f"The recon matrix {self.recon_matrix} is larger than {LARGEST_MATRIX} pixels a side.")
        numbers = (*self.encoded_matrix, *self.encoded_fov_mm, *self.recon_matrix, *self.recon_fov_mm)
        if not all(np.isfinite(numbers)) or min(numbers) <= 0:
            raise ScanError("The ISMRMRD header has a matrix or field of view that is not positive.")
        if not 0.5 <= self.oversampling <= 16:
            raise ScanError(f"The header's readout oversampling is {self.oversampling:g}, which no scanner uses.")
        if self.field_strength_t is not None and not WEAKEST_FIELD_T < self.field_strength_t < STRONGEST_FIELD_T:
            raise ScanError(f"The header's field strength is {self.field_strength_t:g} T.")
        if not NARROWEST_FOV_MM < min(self.recon_fov_mm[:2]) <= max(self.recon_fov_mm[:2]) < WIDEST_FOV_MM:
            x, y, _ = self.recon_fov_mm
            raise ScanError(f"The recon field of view is {x:g} by {y:g} mm in the header; is it in another unit?")
        if not 1 <= self.n_slices <= MOST_SLICES:
            raise ScanError(f"The header announces {self.n_slices} slices.")
        if self.n_channels is not None and not 0 <= self.n_channels <= MOST_CHANNELS:
            raise ScanError(f"The header announces {self.n_channels} receiver channels.")
        if not 0 <= self.noise_bandwidth < WIDEST_NOISE_BAND:
            raise ScanError(f"The header's relativeReceiverNoiseBandwidth is {self.noise_bandwidth:g}.")


def single(text: str) -> float:
    """The number in single precision: 3.52 is read as 3.51999998. Numbers beyond that range are not changed.

    Raises ValueError if the text is not a number.
    """
    value = float(text)
    return float(np.float32(value)) if abs(value) <= LARGEST_SINGLE else value


def _whole(text: str) -> int:
    """A whole number, which a converter may have written as 192.0 or 35.9996."""
    value = float(text)
    if abs(value) > LARGEST_WHOLE or abs(value - round(value)) > NOT_WHOLE:
        raise ValueError(f"{text[:40]} is no whole number of samples, slices or channels")
    return round(value)


def _root_and_encodings(xml: str) -> tuple[ET.Element, list[ET.Element]]:
    """The root of a header, and its encodings. Raises ScanError if it has none, or too many."""
    root = parse_xml(xml, "ISMRMRD header")
    if root.tag != "ismrmrdHeader":
        raise ScanError(f"The header's root element is <{root.tag[:40]}>, not <ismrmrdHeader>.")
    encodings = root.findall("encoding")
    if not encodings:
        raise ScanError("The ISMRMRD header has no <encoding>, so matrix and field of view are unknown.")
    if len(encodings) > MOST_ENCODINGS:
        raise ScanError(f"The ISMRMRD header has {len(encodings)} encodings, more than {MOST_ENCODINGS}.")
    return root, encodings


@contextmanager
def _unreadable_told() -> Iterator[None]:
    """Raise ScanError for a value that cannot be read."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise ScanError(f"The ISMRMRD header has an unreadable value ({error}).") from None


def _geometry(encoding: ET.Element) -> dict[str, Any]:
    """The fields of a header that belong to one of its encodings."""
    slices = encoding.findtext("encodingLimits/slice/maximum")
    return {
        "encoded_matrix": _triple(encoding, "encodedSpace/matrixSize", _whole),
        "encoded_fov_mm": _triple(encoding, "encodedSpace/fieldOfView_mm", single),
        "recon_matrix": _triple(encoding, "reconSpace/matrixSize", _whole),
        "recon_fov_mm": _triple(encoding, "reconSpace/fieldOfView_mm", single),
        "trajectory": (encoding.findtext("trajectory") or "").strip().lower(),
        "n_slices": _whole(slices) + 1 if slices else 1,
    }


def _triple(encoding: ET.Element, path: str, kind: Callable[[str], Number]) -> tuple[Number, Number, Number]:
    element = encoding.find(path)
    if element is None:
        raise ScanError(f"The ISMRMRD header lacks <{path}>.")
    x, y, z = (kind(element.findtext(axis) or "") for axis in "xyz")
    return x, y, z
