"""Errors that people are told about.

SpokestreamError        one sentence for the person at the console: what is wrong, and what to do
├── InputError          what was asked for is impossible or unknown: a setting, a sequence, a tissue
├── FileError           a file is not what it should be, or holds what cannot be used
├── ScanError           a scan cannot be reconstructed
├── TlsError            two ends of a connection do not agree on encryption (`spokestream.pipelines.tls`)
├── ClientError         a server did not reconstruct a scan (`spokestream.pipelines.client`)
└── ProtocolError       the stream of messages was broken (`spokestream.pipelines.wire`)

The command line and the node turn these, and OSError, into a sentence. Anything else is a defect and is shown as one.
"""

__all__ = ["FileError", "InputError", "ScanError", "SpokestreamError"]


class SpokestreamError(Exception):
    """Something that the person at the console can understand and change; the message is one sentence."""


class InputError(SpokestreamError):
    """What was asked for is impossible or unknown, or contradicts something else: a setting, a sequence, a tissue."""


class FileError(SpokestreamError):
    """A file is missing, is not what it should be, or does not belong to the others."""


class ScanError(SpokestreamError):
    """The scan cannot be reconstructed."""
