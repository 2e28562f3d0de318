"""Texts between client and node: JSON parameters, queries about the node itself, and warnings."""

import asyncio
import json
import logging
import platform
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

from spokestream import __version__
from spokestream.errors import ScanError
from spokestream.pipelines.node.plain_text import escape_record

__all__ = ["PARAMETERS", "Parameters", "answer", "chain_log", "read_parameters"]

PARAMETERS = '"parameters"'
"""What a text with parameters contains."""
MOST_CHARACTERS = 1 << 16
"""Characters of all texts with parameters of a scan, far above those of any console: they are kept until it starts, and
as objects they take twenty times as much memory."""


class Parameters:
    """The parameters that a scanner's console sends in TEXTs before the first readout."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._characters = 0

    def add(self, text: str) -> None:
        """Add those of a text that may hold some. Raises ScanError if they are too long."""
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise ScanError(f"The client sent parameters of more than {MOST_CHARACTERS} characters.")
        self.values |= read_parameters(text) or {}


def read_parameters(text: str) -> dict[str, Any] | None:
    """The values in `{"parameters": {name: value, ...}}`; None when the text is anything else.

    A scanner's console sends them in a TEXT after the header. `config`, if it is not empty, names another pipeline.
    `customconfig`, which the operator types, takes precedence over it and is returned as `config`.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    parameters = message.get("parameters") if isinstance(message, dict) else None
    if not isinstance(parameters, dict):
        return None
    listed, typed = parameters.pop("config", ""), parameters.pop("customconfig", "")
    return parameters | ({"config": typed or listed} if typed or listed else {})


def answer(query: str) -> str:
    """The answer to a query of a Gadgetron client (`gadgetron_ismrmrd_client -Q`); "Unknown query" for any other."""
    match query.strip():
        case "ismrmrd::version":
            return _version("ismrmrd")
        case "gadgetron::version" | "gadgetron::build":
            return f"spokestream {__version__}"
        case "gadgetron::info":
            packages = (f"{package} {_version(package)}" for package in ("torch", "finufft", "numpy", "ismrmrd"))
            python = f"Python {platform.python_version()}"
            return "\n".join([f"spokestream {__version__}", *packages, python, platform.platform()])
        case "gadgetron::info::python":
            return platform.python_version()
    return "Unknown query"


@cache  # it is read from a file
def _version(package: str) -> str:
    return version(package)


def chain_log(session: logging.Logger, warn: Callable[[str], None]) -> logging.Logger:
    """A log for the chain of a session, whose warnings are sent to the client by `warn`."""
    log = logging.Logger(f"{session.name}.chain")
    log.parent = session
    log.addFilter(escape_record)
    log.addHandler(_WarningsToClient(warn))
    return log


class _WarningsToClient(logging.Handler):
    """Sends the warnings of a chain to its client."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one warning. The chain may run in any thread."""
        self._loop.call_soon_threadsafe(self._warn, record.getMessage())
