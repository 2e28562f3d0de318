"""`spokestream package`: write what a scanner's console needs to run the node as a container."""

import argparse
import sys
from pathlib import Path

from spokestream.pipelines.installation.openrecon_label import MEMORY_MB

__all__ = ["HELP", "options", "run"]

HELP = "write the files by which a console's OpenRecon or FIRE runs the node as a container"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the system, where the files go, and what the label says."""
    parser.add_argument("system", choices=("openrecon", "fire"), help="the system of the console")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument(
        "--vendor", default="research", metavar="NAME",
        help="who builds the container and answers for it; a part of file names [research]",
    )  # fmt: skip
    parser.add_argument(
        "--memory-mb", type=int, default=MEMORY_MB, metavar="MB",
        help=f"memory that OpenRecon must give to the container [{MEMORY_MB}]",
    )  # fmt: skip
    parser.add_argument("--gpu", action="store_true", help="say to OpenRecon that the container can use a GPU")


def run(arguments: argparse.Namespace) -> None:
    """Write the files and print the command that does the rest. Raises InputError for a vendor, and OSError."""
    from datetime import UTC, datetime

    from spokestream.pipelines.installation.fire_bundle import write_fire_bundle
    from spokestream.pipelines.installation.openrecon_package import IMAGE, write_openrecon_package

    a = arguments
    if a.system == "openrecon":
        name = write_openrecon_package(a.output, a.vendor, a.memory_mb, a.gpu, datetime.now(UTC).date())
        rest, file = f"sh {a.output}/pack.sh FOLDER_OF_THE_SOURCE", f"{name}.zip"
    else:
        name = write_fire_bundle(a.output, a.vendor, IMAGE)
        rest, file = f"sh {a.output}/make-chroot.sh", f"{name}.img"
    sys.stdout.write(f"{a.output} is written. On a computer with docker, this makes {file}:\n  {rest}\n")
