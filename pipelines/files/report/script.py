"""Modules of JavaScript in one script: a browser that opens a file from a disk refuses to import others."""

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["joined"]

IMPORT = re.compile(r'^import \{[^}]*\} from "/([\w.]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) )", re.MULTILINE)


def joined(files: Mapping[str, Path], entry: str) -> str:
    """The script of a module and of all that it imports, each once and before what needs it.

    The names at the top level of all modules must differ, and imports must not rename.

    Args:
        files: the modules by name.
        entry: the name of the module that is run.

    Raises KeyError for an import of a module that is not given.

    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        text = files[name].read_text("utf-8")
        for needed in IMPORT.findall(text):
            add(needed)
        parts[name] = EXPORT.sub("", IMPORT.sub("", text))

    add(entry)
    return "\n".join(parts.values())
