"""XML from a client: names without namespaces, and limits."""

import tracemalloc

import pytest

from spokestream.errors import ScanError
from spokestream.gadgets.scan.xml_tree import DEEPEST, parse_xml


def test_names_have_neither_prefix_nor_namespace():
    root = parse_xml('<m:a xmlns="u" xmlns:m="v" m:b="1"><c>2<m:d/>3</c></m:a>', "header")
    assert root.tag == "a"
    assert root.get("b") == "1"
    assert root.findtext("c") == "2"
    assert [element.tag for element in root.iter()] == ["a", "c", "d"]


def test_a_long_namespace_is_not_in_the_memory_of_every_element():
    names = "".join(f"<a{i}/>" for i in range(500))
    text = f'<r xmlns="{"u" * 100_000}">{names}</r>'
    tracemalloc.start()
    assert len(parse_xml(text, "header")) == 500
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * len(text)  # with the namespace in every name, 500 times its length


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<a>", "The header is not well-formed XML"),
        ("<a>\ud800</a>", "The header is not well-formed XML"),
        ("<!DOCTYPE a><a/>", "The header declares XML entities"),
        ("<a>" + "<b/>" * 10 + "</a>", "The header has more than 10 XML elements"),
        ("<a>" * (DEEPEST + 1), f"or {DEEPEST} in each other"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(text, words):
    with pytest.raises(ScanError, match=words):
        parse_xml(text, "header", 10 if "b/" in text else 1000)
