"""Limits to the memory that a peer can make us allocate."""

from dataclasses import dataclass

from spokestream.pipelines.wire.errors import MalformedError

__all__ = ["Limits", "bounded"]

MiB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Largest sizes in bytes. Each is checked before memory of that size is allocated."""

    config: int = 1 * MiB
    header: int = 4 * MiB
    """Trains of 20,000 spokes take 2 MiB; a parsed header takes ten times its size."""
    text: int = 1 * MiB
    """TEXT, QUERY, RESPONSE, ERROR, dependency replies and DICOM names."""
    attributes: int = 16 * MiB
    """Metadata of one image or one DICOM file."""
    body: int = 256 * MiB
    """Samples and trajectory of one acquisition, samples of one waveform, pixels of one image, one DICOM file."""


def bounded(n_bytes: int, limit: int, what: str) -> int:
    """`n_bytes` unchanged. Raises MalformedError when the peer announces more than `limit`."""
    if n_bytes > limit:
        raise MalformedError(f"{what} of {n_bytes} bytes is beyond the limit of {limit}")
    return n_bytes
