"""`spokestream serve`: reconstruct scans as they come over the network."""

import argparse
import logging
from pathlib import Path
from typing import Any

from spokestream.pipelines.cli.options import add_options, given_options
from spokestream.pipelines.settings import SETTINGS, read_site_file
from spokestream.settings import layered

__all__ = ["HELP", "options", "run"]

HELP = "reconstruct scans as they come over the network"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the site's file, the settings of the server and those of the pipelines."""
    from spokestream.pipelines.node.server_settings import ServerSettings

    parser.add_argument(
        "--config", type=Path, metavar="SITE.toml",
        help="file with any of the settings below, as in 'max_sessions = 2'; options take precedence over it",
    )  # fmt: skip
    add_options(parser, ServerSettings, *SETTINGS.values())


def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; the exit code is 1 if scans were dropped then.

    Raises SpokestreamError for settings that cannot be used, and OSError.
    """
    import asyncio
    from functools import partial

    from spokestream.pipelines.chains import warm_up
    from spokestream.pipelines.node.server import Server
    from spokestream.pipelines.node.server_settings import ServerSettings
    from spokestream.pipelines.selection import configure, select

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # on stderr
    classes: tuple[type[Any], ...] = (ServerSettings, *SETTINGS.values())
    site = {} if arguments.config is None else read_site_file(arguments.config, *classes)
    layers = site, given_options(arguments, *classes)
    server, pipelines = layered(ServerSettings(), *layers), configure(*layers)
    for chosen in pipelines.values():
        warm_up(chosen)
    dropped = asyncio.run(Server(server, select=partial(select, settings=pipelines)).serve())
    if dropped:
        raise SystemExit(1)
