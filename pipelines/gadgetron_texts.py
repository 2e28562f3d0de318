"""Texts as Gadgetron sends them to its external modules and takes them from these."""

import logging
import re
from typing import TYPE_CHECKING

from spokestream.errors import InputError

if TYPE_CHECKING:
    from spokestream.pipelines.selection import Selection

__all__ = ["configuration", "for_gadgetron", "printable", "printable_record"]


def printable(text: str) -> str:
    """The text without percent signs: Gadgetron logs an error as a printf format, and `%n` ends its process."""
    return re.sub(r" ?%", " percent", text)


def printable_record(record: logging.LogRecord) -> bool:
    """A filter of a log that Gadgetron prints."""
    record.msg, record.args = printable(record.getMessage()), ()
    return True


def configuration(text: str) -> str:
    """A module's configuration; a bare XML declaration comes where Gadgetron's own has none for the module."""
    return re.sub(r"^\s*<\?xml[^>]*\?>\s*", "", text)


def for_gadgetron(selection: "Selection") -> "Selection":
    """The selection unchanged. Raises InputError for images that Gadgetron cannot read."""
    if selection.settings.datatype == "int16":
        raise InputError(
            "Gadgetron's image reader does not know int16; set the parameter datatype to uint16 or float32."
        )
    return selection
