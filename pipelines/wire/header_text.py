"""The text of an ISMRMRD header, whatever its encoding."""

import codecs
import re

__all__ = ["header_text"]

DECLARATION = re.compile(r"^\s*<\?xml.*?\?>\s*", re.DOTALL)
ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")
KNOWN = re.compile(
    r"utf-?8|utf-?16(-?[lb]e)?|(us-)?ascii|latin-?1|iso-?8859-\d{1,2}|(windows-|cp)125\d"
    r"|shift_?jis|euc-(jp|kr)|iso-2022-(jp|kr)|gb(k|2312|18030)|big5|koi8-[ru]",
    re.IGNORECASE,
)
"""The names of encodings that are read: those of XML and of the web. Python knows others, of which some are no text,
and some take a time that grows with the square of the length."""
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def header_text(raw: bytes | bytearray) -> str:
    """The header without trailing NULs and byte-order mark.

    The encoding is that of the byte-order mark, or that of the XML declaration if it is `KNOWN`. Otherwise it is UTF-8;
    text that is not UTF-8 is read as Latin-1, which older software writes without a declaration. A declaration of
    another encoding than UTF-8 is left out, because the text is written as UTF-8 from here on.
    """
    raw = bytes(raw)
    marked = next((encoding for mark, encoding in MARKS if raw.startswith(mark)), None)
    declared = ENCODING.match(raw)
    named = declared[1].decode("ascii", "replace") if declared else ""
    for encoding in (marked, named if KNOWN.fullmatch(named) else None, "utf-8"):
        try:
            text = raw.decode(encoding) if encoding else None
        except (UnicodeError, LookupError):
            continue
        if text is not None:
            break
    else:
        text = raw.decode("latin-1")
    text = text.rstrip("\0")
    return text if not declared or declared[1].lower() == b"utf-8" else DECLARATION.sub("", text, count=1)
