"""The files by which a container is installed under FIRE: it runs in a chroot of the reconstruction computer.

The keys of `fire.ini` are those of a file that came with FIRE, as public repositories show it.
"""

import json
from pathlib import Path

from spokestream import __version__
from spokestream.pipelines.installation.openrecon_label import PORT, console_values
from spokestream.pipelines.installation.package_name import package_name
from spokestream.whole_files import whole_folder

__all__ = ["FOLDER_IN_IMAGE", "START", "write_fire_bundle"]

FOLDER_IN_IMAGE = "/opt/spokestream/fire"
"""The folder of the image in which the Dockerfile's target `openrecon` keeps these files."""
START = "start-spokestream.sh"
RESIDUAL_MEMORY_MB = 2048
"""FIRE stops a process that holds more than this after a scan. A node that waits holds about 620 MiB: 300 itself, and
320 in the process that is ready for the next scan."""

START_SCRIPT = f"""#!/bin/sh
# Starts the node inside FIRE's chroot, and returns. Arguments: the log file, and options of `spokestream serve`.
log=${{1:-/tmp/share/log/spokestream.log}}
[ $# -gt 0 ] && shift
mkdir -p "$(dirname "$log")"
export PATH=/opt/spokestream/bin:$PATH HOME=/tmp
spokestream serve --host 0.0.0.0 --port {PORT} "$@" >>"$log" 2>&1 &
"""
INI = """; Template for FIRE: merge it into the .ini file that the workflow's XML names.
[OpenRecon]
; the address of the reconstruction computer as FIRE sees it
hostname=192.168.2.2
port={port}

[chroot]
start_chroot=true
chroot_image_path=/opt/medcom/MriCustomer/ice/fire/chroot
chroot_image_name={name}.img
chroot_command={start} /tmp/share/log/spokestream_`date '+%Y%m%d_%H%M%S'`.log
chroot_search_string=spokestream
; the node stays, so that the next scan need not wait for its start
chroot_stop_after_finish=false
chroot_allowable_residual_memory_usage={memory}
"""
MAKE_CHROOT = """#!/bin/sh
# Makes {name}.img, the file system of the image.
# Needs docker and e2fsprogs, and root, because files keep their owners.
set -eu
cd "$(dirname "$0")"
container=$(docker create {image})
mkdir root
docker export "$container" | tar -x -C root
docker rm "$container" >/dev/null
megabytes=$(( $(du -sm root | cut -f1) * 115 / 100 + 200 ))
mke2fs -q -F -t ext3 -d root {name}.img "${{megabytes}}M"
rm -rf root
echo "{name}.img is ready."
"""
README = """spokestream {version} for FIRE, not tried on a scanner; docs/scanners.md of the source says more.

1. sh make-chroot.sh makes {name}.img from the image {image}.
2. Copy {name}.img to %CustomerIceProgs%\\fire\\chroot
3. Merge fire.ini into the .ini file of the workflow, in %CustomerIceProgs%\\fire
4. Copy spokestream.json to %CustomerIceProgs%\\fire\\config and name it as JsonConfig in the workflow's XML.

{start} stands inside the image already, as {folder}/{start}.
"""


def write_fire_bundle(folder: Path, vendor: str, image: str) -> str:
    """Write the bundle into a folder, which is made; returns its name.

    Args:
        folder: the folder, which gets `fire.ini`, the start script, the parameters as JSON, and `make-chroot.sh`.
        vendor: who builds the image.
        image: the name of the image for docker.

    Raises InputError for a vendor that no file may be named after, FileError and OSError.

    """
    name = package_name("FIRE", vendor, __version__)
    parameters = {"version": "1.1.0", "parameters": console_values()}
    start = f"{FOLDER_IN_IMAGE}/{START}"
    texts = {
        START: START_SCRIPT,
        "fire.ini": INI.format(port=PORT, name=name, start=start, memory=RESIDUAL_MEMORY_MB),
        "spokestream.json": json.dumps(parameters, indent=2) + "\n",
        "make-chroot.sh": MAKE_CHROOT.format(name=name, image=image),
        "README.txt": README.format(version=__version__, name=name, image=image, start=START, folder=FOLDER_IN_IMAGE),
    }
    with whole_folder(folder) as draft:
        for file, text in texts.items():
            (draft / file).write_text(text, "utf-8")
            (draft / file).chmod(0o755 if file.endswith(".sh") else 0o644)
    return name
