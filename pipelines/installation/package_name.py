"""The name of a package for a console: its parts are those of the label."""

import re

from spokestream.errors import InputError

__all__ = ["PRODUCT", "package_name"]

PRODUCT = "spokestream"
VENDOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def package_name(system: str, vendor: str, version: str) -> str:
    """`OpenRecon_VENDOR_spokestream_V1.2.3`. Raises InputError for a vendor that no file may be named after."""
    if not VENDOR.fullmatch(vendor):
        raise InputError(
            f"The vendor '{vendor[:64]}' becomes part of a file name; use letters, digits and minus signs."
        )
    return f"{system}_{vendor}_{PRODUCT}_V{version}"
