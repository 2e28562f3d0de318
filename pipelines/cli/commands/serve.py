"""`spokestream serve`: reconstruct scans as they come over the network."""

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spokestream.errors import InputError
from spokestream.pipelines.cli.options import add_options, given_options
from spokestream.pipelines.settings import SETTINGS, read_site_file
from spokestream.settings import layered

if TYPE_CHECKING:
    from spokestream.pipelines.node.events import Observer

__all__ = ["HELP", "options", "run"]

HELP = "reconstruct scans as they come over the network"
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the site's file, the settings of the server, of its page and of the pipelines."""
    from spokestream.pipelines.console.settings import ConsoleSettings
    from spokestream.pipelines.node.server_settings import ServerSettings

    parser.add_argument(
        "--config", type=Path, metavar="SITE.toml",
        help="file with any of the settings below, as in 'max_sessions = 2'; options take precedence over it",
    )  # fmt: skip
    add_options(parser, ServerSettings, ConsoleSettings, *SETTINGS.values())


def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; the exit code is 1 if scans were dropped then.

    Raises SpokestreamError for settings that cannot be used, and OSError.
    """
    import asyncio

    from spokestream.pipelines.console.json_log import JsonLines, log_event
    from spokestream.pipelines.console.settings import ConsoleSettings
    from spokestream.pipelines.gadgetron_texts import configuration, for_gadgetron
    from spokestream.pipelines.node.server import Server
    from spokestream.pipelines.node.server_settings import ServerSettings
    from spokestream.pipelines.node.workers.processes import ProcessWorkers, grids_kept, processes_kept
    from spokestream.pipelines.selection import Selection, configure, select

    classes: tuple[type[Any], ...] = (ServerSettings, ConsoleSettings, *SETTINGS.values())
    site = {} if arguments.config is None else read_site_file(arguments.config, *classes)
    layers = site, given_options(arguments, *classes)
    server, page, pipelines = (
        layered(ServerSettings(), *layers), layered(ConsoleSettings(), *layers), configure(*layers)
    )  # fmt: skip
    default = select(server.pipeline).name

    def choose(text: str) -> Selection:
        if server.role == "gadgetron":
            return for_gadgetron(select(configuration(text), default, pipelines))
        return select(text, default, pipelines)

    log = logging.StreamHandler()  # on stderr
    log.setFormatter(JsonLines() if page.log == "json" else logging.Formatter(LINE))
    logging.basicConfig(level=logging.INFO, handlers=[log])

    def node(observers: "Sequence[Observer]" = (), kept_bytes: int = 0) -> "Server":
        logged = [log_event] if page.log == "json" else []
        kept = processes_kept(server.memory_bytes, server.max_sessions)
        with_grids = grids_kept(server.memory_bytes, kept)
        workers = ProcessWorkers(list(pipelines.values()), kept, with_grids)
        return Server(server, choose, observers=[*logged, *observers], workers=workers, kept_bytes=kept_bytes)

    if page.http is None:
        dropped = asyncio.run(node().serve())
    else:
        try:
            from spokestream.pipelines.console.console import Console, image_bytes, serve_with_console
        except ImportError:
            raise InputError(
                "The page needs aiohttp and prometheus-client; install them with 'pip install spokestream[http]'."
            ) from None
        images = image_bytes(server.memory_bytes)
        dropped = asyncio.run(
            serve_with_console(Console(page, server.record, images), partial(node, kept_bytes=images))
        )
    if dropped:
        raise SystemExit(1)
