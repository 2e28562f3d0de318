"""The scanner that a header names."""

from spokestream.errors import ScanError
from spokestream.gadgets.scan.xml_tree import parse_xml

__all__ = ["UNKNOWN_SCANNER", "scanner_of"]

UNKNOWN_SCANNER = "unknown scanner"


def scanner_of(header_xml: str) -> str:
    """Vendor and model, field strength and institution, as far as the ISMRMRD header has them."""
    try:
        root = parse_xml(header_xml, "ISMRMRD header")
    except ScanError:
        return UNKNOWN_SCANNER
    system = next((part for part in root.iter() if part.tag == "acquisitionSystemInformation"), None)
    texts = {} if system is None else {part.tag: (part.text or "").strip() for part in system}
    try:
        field = f"{float(texts.get('systemFieldStrength_T', '')):.3g} T"
    except ValueError:
        field = ""
    device = " ".join(filter(None, (texts.get("systemVendor"), texts.get("systemModel"))))
    return ", ".join(filter(None, (device, field, texts.get("institutionName")))) or UNKNOWN_SCANNER
