"""Message ids of the ISMRMRD stream: a uint16 in front of every message, and nothing else frames it."""

from enum import IntEnum

__all__ = ["OLD_IMAGES", "REFUSED", "MessageId"]


class MessageId(IntEnum):
    """Ids that are read; those of old images and of unnamed DICOM are never written."""

    CONFIG_FILE = 1
    CONFIG_TEXT = 2
    HEADER = 3
    CLOSE = 4
    TEXT = 5
    QUERY = 6
    RESPONSE = 7
    ERROR = 8
    ACQUISITION = 1008
    IMAGE_COMPLEX_FLOAT = 1009
    IMAGE_FLOAT = 1010
    IMAGE_USHORT = 1011
    DICOM = 1012
    IMAGE_COMPLEX_FLOAT_WITH_ATTRIBUTES = 1015
    IMAGE_FLOAT_WITH_ATTRIBUTES = 1016
    IMAGE_USHORT_WITH_ATTRIBUTES = 1017
    DICOM_WITH_NAME = 1018
    DEPENDENCY_REPLY = 1019
    IMAGE_SHORT = 1020
    IMAGE_SHORT_WITH_ATTRIBUTES = 1021
    IMAGE = 1022
    WAVEFORM = 1026


REFUSED = {
    1013: "CLOUD_JOB",
    1014: "CLOUD_JOB",
    1023: "RECONDATA",
    1024: "IMAGE_ARRAY",
    1030: "NDARRAY",
    1050: "ACQUISITION_BUCKET",
    1051: "BUNDLE",
}
"""Known ids whose bodies have no place in a scan: dead ones, and those that stay inside Gadgetron."""

OLD_IMAGES = {
    MessageId.IMAGE_COMPLEX_FLOAT: (7, False),
    MessageId.IMAGE_FLOAT: (5, False),
    MessageId.IMAGE_USHORT: (1, False),
    MessageId.IMAGE_SHORT: (2, False),
    MessageId.IMAGE_COMPLEX_FLOAT_WITH_ATTRIBUTES: (7, True),
    MessageId.IMAGE_FLOAT_WITH_ATTRIBUTES: (5, True),
    MessageId.IMAGE_USHORT_WITH_ATTRIBUTES: (1, True),
    MessageId.IMAGE_SHORT_WITH_ATTRIBUTES: (2, True),
}
"""Old image id -> (pixel type, as in `ImageHeader.data_type`; whether attributes precede the pixels)."""
