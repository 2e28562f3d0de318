"""The pages of the site, and the code blocks on them."""

import re
import shlex
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

ROOT = Path(__file__).parents[2]
OF_THE_SITE = re.findall(r'"([\w/]+\.md)"', (ROOT / "docs/build_site.py").read_text())
PAGES = sorted({*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in OF_THE_SITE)})


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """(heading, language, text) of every code block of a page."""
    found: list[tuple[str, str, str]] = []
    for section in re.split(r"^##+ ", page.read_text(), flags=re.MULTILINE):
        heading = section.partition("\n")[0]
        fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", section, flags=re.DOTALL | re.MULTILINE)
        found += [(heading, language, text) for language, text in fenced]
    return found


BLOCKS = [(page, *block) for page in PAGES for block in blocks(page)]


def of_language(*languages: str) -> list[ParameterSet]:
    """The blocks in one of the languages, as parameters (page, text)."""
    chosen = [(page, heading, text) for page, heading, language, text in BLOCKS if language in languages]
    assert chosen
    return [pytest.param(page, text, id=f"{page.relative_to(ROOT)}: {heading}") for page, heading, text in chosen]


def sections(language: str) -> list[ParameterSet]:
    """The sections that have blocks in a language, as parameters (page, blocks), each a list of (language, text)."""
    found: dict[tuple[Path, str], list[tuple[str, str]]] = {}
    for page, heading, of, text in BLOCKS:
        if page.name != "api.md":  # outlines of the code itself
            found.setdefault((page, heading), []).append((of, text))
    return [
        pytest.param(page, section, id=f"{page.relative_to(ROOT)}: {heading}")
        for (page, heading), section in found.items()
        if language in dict(section)
    ]


def commands(text: str) -> list[str]:
    """The commands of a block, without comments; a line that ends with a backslash goes on."""
    lines = (line.partition(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def words(command: str) -> list[list[str]]:
    """The programs of the pipe that a command is, each as a list of words without variables of the environment.

    The file to which the last one writes is left out.
    """
    pipe: list[list[str]] = [[]]
    for word in shlex.split(command):
        if word == ">":  # a file follows
            break
        if word == "|":
            pipe.append([])
        elif pipe[-1] or not re.match(r"[A-Z_]+=", word):
            pipe[-1].append(word)
    return pipe


def link_all(source: Path, folder: Path) -> None:
    """Put links to the files and folders of a folder into another one, in which the blocks of a page run."""
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
