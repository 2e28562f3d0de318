"""The package by which a container is installed under OpenRecon: a ZIP of the image and of a PDF."""

import base64
import json
from datetime import date
from pathlib import Path

from spokestream import __version__
from spokestream.errors import InputError
from spokestream.pipelines.installation.console_manual import write_manual
from spokestream.pipelines.installation.label_rules import label_faults
from spokestream.pipelines.installation.openrecon_label import LABEL_NAME, openrecon_label
from spokestream.pipelines.installation.package_name import package_name
from spokestream.whole_files import whole_folder

__all__ = ["IMAGE", "write_openrecon_package"]

IMAGE = "spokestream:openrecon"
"""The image that the target `openrecon` of the Dockerfile becomes; the label is added to it."""
PACK = """#!/bin/sh
# Builds the image with its label, and packs it with the manual. Needs docker and python3; the argument is the folder
# of the source of spokestream.
set -eu
source=$(cd "${{1:?usage: sh pack.sh FOLDER_OF_THE_SOURCE}}" && pwd)
cd "$(dirname "$0")"
docker build --platform linux/amd64 --target openrecon -t {image} "$source"
docker build --platform linux/amd64 -t {tag} .
docker save -o {name}.tar {tag}
python3 -m zipfile -c {name}.zip {name}.tar {name}.pdf
echo "{name}.zip is ready."
"""


def write_openrecon_package(folder: Path, vendor: str, memory_mb: int, gpu: bool, made: date) -> str:
    """Write what needs no docker into a folder, which is made; `sh FOLDER/pack.sh SOURCE` does the rest.

    Args:
        folder: the folder, which gets `label.json`, the `Dockerfile` that adds the label, the manual and `pack.sh`.
        vendor: who builds the container and answers for it.
        memory_mb: memory that the container asks for, in MB.
        gpu: whether the container can use a GPU.
        made: the day on which the label was made.

    Returns:
        The name of the package, without ending.

    Raises InputError for a vendor or a size of memory that is not possible, FileError and OSError.

    """
    name = package_name("OpenRecon", vendor, __version__)
    tag = f"openrecon_{vendor}_spokestream:v{__version__}".lower()
    label = openrecon_label(vendor, made, memory_mb, gpu)
    if faults := label_faults(label):
        raise InputError(" ".join(faults))
    text = json.dumps(label, indent=2)
    encoded = base64.b64encode(text.encode()).decode()
    with whole_folder(folder) as draft:
        (draft / "label.json").write_text(text + "\n", "utf-8")
        (draft / "Dockerfile").write_text(f'FROM {IMAGE}\nLABEL "{LABEL_NAME}"="{encoded}"\n', "utf-8")
        (draft / ".dockerignore").write_text("*\n", "utf-8")
        (draft / "pack.sh").write_text(PACK.format(image=IMAGE, tag=tag, name=name), "utf-8")
        write_manual(draft / f"{name}.pdf", label)
    return name
