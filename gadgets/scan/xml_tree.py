"""XML from a client or a file as a tree, in a time and a memory that grow with its length.

Namespaces are not expanded: a configuration of 1 MiB, half of it the name of one, would become a tree of tens of GiB.
"""

import xml.etree.ElementTree as ET
from xml.parsers import expat

from spokestream.errors import ScanError

__all__ = ["parse_xml"]

MOST_ELEMENTS = 300_000
"""Largest number of elements: a header with trains of 20,000 spokes and RF phases has 100,000."""
DEEPEST = 100
"""Largest depth of elements in each other. Headers have 6."""


def parse_xml(text: str, what: str, most_elements: int = MOST_ELEMENTS) -> ET.Element:
    """The root element; all names are without prefix and namespace.

    Args:
        text: the XML.
        what: its name in errors, such as "header".
        most_elements: largest number of elements.

    Raises ScanError if it is not well-formed, declares entities, or has too many elements.

    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ScanError(f"The {what} declares XML entities; it was refused.")
    builder, parser = ET.TreeBuilder(), expat.ParserCreate()
    n = depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal n, depth
        n, depth = n + 1, depth + 1
        if n > most_elements or depth > DEEPEST:
            raise ScanError(f"The {what} has more than {most_elements} XML elements, or {DEEPEST} in each other.")
        builder.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        raise ScanError(f"The {what} is not well-formed XML ({error}).") from None
    return builder.close()


def _local(name: str) -> str:
    return name.rpartition(":")[2]
