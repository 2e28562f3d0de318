"""`spokestream xml`: print a configuration file of Gadgetron in which a pipeline is an external module."""

import argparse
import sys

from spokestream.pipelines.cli.options import add_set_option, named_values
from spokestream.pipelines.settings import AUTO

__all__ = ["HELP", "options", "run"]

HELP = "print a configuration file of Gadgetron that reconstructs by a pipeline"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the pipeline, how Gadgetron reaches it, and what stands before it."""
    from spokestream.pipelines.installation.gadgetron_xml import FORMS, NODE_PORT

    parser.add_argument(
        "pipeline", nargs="?", default=AUTO, metavar="NAME", help=f"the pipeline by its name [{AUTO}: by the sequence]"
    )
    parser.add_argument(
        "--form", choices=FORMS, default=FORMS[0],
        help="whether Gadgetron starts a process for every scan, or connects to a node that runs already [execute]",
    )  # fmt: skip
    parser.add_argument(
        "--noise-adjust",
        action="store_true",
        help="let Gadgetron whiten the readouts first; by default the module does",
    )
    parser.add_argument(
        "--address", default="localhost", metavar="HOST", help="host of the node to connect to [localhost]"
    )
    parser.add_argument(
        "--port", type=int, default=NODE_PORT, metavar="N", help=f"TCP port of the node to connect to [{NODE_PORT}]"
    )
    add_set_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the file. Raises InputError for an unknown pipeline, and for settings that are not allowed."""
    from spokestream.pipelines.gadgetron_texts import for_gadgetron
    from spokestream.pipelines.installation.gadgetron_xml import gadgetron_xml
    from spokestream.pipelines.selection import select

    a, parameters = arguments, named_values(arguments.parameters)
    selection = for_gadgetron(select(a.pipeline).with_parameters(parameters))
    sys.stdout.write(gadgetron_xml(selection.name, a.form, a.noise_adjust, parameters, a.address, a.port))
