"""The documentation as a site: it is complete, its links lead somewhere, and it needs no network."""

import asyncio
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from posixpath import join, normpath

import pytest
from browser import CHROMIUM, browser_tab

ROOT = Path(__file__).parents[1]
BUILDER = ROOT / "docs/build_site.py"


class Fetched(HTMLParser):
    """The addresses that a browser fetches to show a page, those that the page links to, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.links, self.names = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.names.add(values.get("id"))
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        elif tag in {"img", "script", "iframe", "source", "link"}:
            self.fetched |= {values[name] for name in ("src", "href") if values.get(name)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, BUILDER, folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_every_page_and_example_is_in_the_site_and_in_its_navigation(site):
    sources = [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.py"), ROOT / "README.md"]
    pages = {str(path.relative_to(ROOT).with_suffix(".html")) for path in sources}
    assert len(pages) >= 25
    assert {page for page in pages if not (site / page).exists()} == set()
    sidebar = re.search(r'<div class="sidebar-tree">.*?</div>', (site / "docs/index.html").read_text(), re.DOTALL)[0]
    listed = {normpath(join("docs", link)) for link in Fetched(sidebar).links}
    assert pages - {"docs/index.html"} <= listed


def test_it_fetches_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    for page in pages:
        for address in Fetched(page.read_text()).fetched:
            assert not re.match(r"\w+:|//", address), f"{page.name} fetches {address}"
            assert (page.parent / address.partition("?")[0].partition("#")[0]).exists(), f"{page.name}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(?:https?:)?//", style.read_text()), style


def test_its_links_lead_to_files_and_anchors_that_are_there(site):
    parsed = {page: Fetched(page.read_text()) for page in site.rglob("*.html")}
    broken, downloads = [], set()
    for page, content in parsed.items():
        for link in content.links:
            address, _, anchor = link.partition("#")
            target = (page.parent / address).resolve() if address else page
            if re.match(r"\w+:", link):
                continue
            if not target.exists() or (anchor and anchor not in parsed[target].names):
                broken.append((page.name, link))
            downloads.add(target.suffix)
    assert broken == []
    assert {".py", ".ipynb", ".html"} <= downloads


def test_its_top_leads_to_the_first_page(site):
    assert "url=docs/index.html" in (site / "index.html").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_it_is_searched_when_its_pages_are_opened_as_files(site):
    async def found(words):
        async with browser_tab() as tab:
            await tab.open(f"{(site / 'search.html').as_uri()}?q={words}")
            await tab.until("document.querySelector('.search-summary')?.textContent.includes('finished')")
            return await tab.value("[...document.querySelectorAll('ul.search li a')].map(a => a.textContent)")

    assert "Restoration of fingerprints" in asyncio.run(found("nuclear+norm"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[a](missing.md)", "cross-reference target not found: 'missing.md'"),
        ("[a](other.md#no-such)", "local id not found in doc 'docs/other': 'no-such'"),
        ("[a](#no-such)", "'myst' cross-reference target not found: 'no-such'"),
        ("![a](missing.png)", "image file not readable: docs/missing.png"),
        ("```toml\na = = 1\n```", "Lexing literal_block"),
    ],
)
def test_what_leads_nowhere_fails(line, problem, tmp_path):
    (tmp_path / "docs/static").mkdir(parents=True)
    (tmp_path / "docs/index.md").write_text(f"# First\n\n{line}\n")
    (tmp_path / "docs/other.md").write_text("# Other\n\n## There\n\n[back](index.md)\n")
    program = f"""
import sys; sys.path.insert(0, {str(BUILDER.parent)!r})
from pathlib import Path
from posixpath import join, normpath
import build_site
build_site.ROOT = Path({str(tmp_path)!r})
build_site.NAVIGATION = {{"All": ["docs/other.md"]}}
build_site.build(Path({str(tmp_path / "site")!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert problem in done.stderr
