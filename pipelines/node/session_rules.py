"""What all sessions of a server share: its settings and resources."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from spokestream.pipelines import wire
from spokestream.pipelines.node.dialect import Dialect
from spokestream.pipelines.node.events import Observer
from spokestream.pipelines.node.memory.budget import MemoryBudget
from spokestream.pipelines.node.recordings import Recordings
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.node.workers.worker import Workers

__all__ = ["PipelineSelection", "SessionRules"]


class PipelineSelection(Protocol):
    """A pipeline and its parameters, as `spokestream.pipelines.selection.select` gives them."""

    @property
    def name(self) -> str:
        """Its registered name."""

    def as_console_asks(self, parameters: Mapping[str, Any], /) -> "tuple[PipelineSelection, list[str]]":
        """The selection with these parameters, and the names of unknown ones. Raises SpokestreamError."""


@dataclass(frozen=True)
class SessionRules:
    """The settings and the resources that all sessions of a server share."""

    select: Callable[[str], PipelineSelection]
    workers: Workers
    plan: Callable[[Any, str, int, int], int]
    """The bytes that a scan needs, given its selection, header, channels and bytes of a readout."""
    settings: ServerSettings
    dialect: Dialect
    limits: wire.Limits
    scans: asyncio.Semaphore
    """Limits the number of scans at once; every such session holds it."""
    memory: MemoryBudget
    recordings: Recordings | None
    tell: Observer
