import xml.etree.ElementTree as ET

import pytest

from spokestream.pipelines.wire.header_text import header_text

BODY = "<h><n>Prüfkörper</n></h>"


@pytest.mark.parametrize(
    "raw",
    [
        BODY.encode(),
        BODY.encode("latin-1"),
        b"\xef\xbb\xbf" + BODY.encode(),
        BODY.encode("utf-16"),
        BODY.encode() + b"\0\0",
        b'<?xml version="1.0" encoding="ISO-8859-1"?>\n' + BODY.encode("latin-1"),
        b"<?xml version='1.0' encoding='windows-1252' ?>" + BODY.encode("cp1252"),
        b'<?xml version="1.0" encoding="GB18030"?>' + BODY.encode("gb18030"),
        b'<?xml version="1.0" encoding="no-such"?>' + BODY.encode(),
        b'<?xml version="1.0" encoding="US-ASCII"?>' + BODY.encode(),  # a wrong declaration
    ],
)
def test_every_encoding_gives_the_same_text(raw):
    assert header_text(raw) == BODY


def test_a_header_in_utf_8_is_unchanged():
    declared = f'<?xml version="1.0" encoding="UTF-8"?>\n{BODY}'
    assert header_text(declared.encode()) == declared
    assert header_text(b'<?xml version="1.0"?><a/>') == '<?xml version="1.0"?><a/>'


def test_a_wrong_declaration_of_utf_8_does_not_hide_latin_1():
    text = header_text(b'<?xml version="1.0" encoding="UTF-8"?>' + BODY.encode("latin-1"))
    assert ET.fromstring(text).findtext("n") == "Prüfkörper"


@pytest.mark.parametrize("name", ["punycode", "undefined", "unicode_escape", "utf-7", "rot13", "zlib", "os.path"])
def test_a_declared_encoding_that_is_none_of_xml_counts_as_not_declared(name):
    assert header_text(f'<?xml version="1.0" encoding="{name}"?>-\\ud800{BODY}'.encode()) == f"-\\ud800{BODY}"
