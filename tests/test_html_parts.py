"""Pages that need no other file, and that a browser lets load none."""

import base64
import re
from hashlib import sha256
from html import unescape

from spokestream.html_parts import figure, page, table


def sources(text, kind):
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    return next(part.split()[1:] for part in policy.split("; ") if part.startswith(f"{kind}-src"))


def test_a_page_allows_its_own_style_and_script_and_nothing_else():
    text = page("A <title>", "<p>body</p>", "p { color: red; }", "run();")
    for kind, content in (("style", "p { color: red; }"), ("script", "run();")):
        digest = base64.b64encode(sha256(content.encode()).digest()).decode()
        assert sources(text, kind) == [f"'sha256-{digest}'"]
    assert sources(text, "default") == ["'none'"]
    assert text.count("A &lt;title&gt;") == 2
    assert sources(page("t", "", ""), "script") == ["'none'"]
    assert "<script" not in page("t", "", "")


def test_tables_and_figures_escape_their_texts():
    made = table("a < b", ["x & y"], ['<th scope="row">1</th><td>2</td>'])
    assert made == (
        '<table><caption>a &lt; b</caption><thead><tr><th scope="col">x &amp; y</th></tr></thead>'
        '<tbody><tr><th scope="row">1</th><td>2</td></tr></tbody></table>'
    )
    assert 'alt="&quot;name&quot;" src="data:image/png;base64,YWJj"' in figure('"name"', "caption", b"abc")
