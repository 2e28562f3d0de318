#!/bin/sh
# Installs the wheel of /wheels into the new environment /opt/spokestream, with a list of what was installed.
# Arguments: the Python, and the package index that has torch for this kind of machine; without one, the usual index.
set -eu
"$1" -m venv /opt/spokestream
bin=/opt/spokestream/bin
torch=$(grep '^torch==' /wheels/constraints.txt)
"$bin/pip" install --no-cache-dir --no-deps ${2:+--index-url "$2"} "$torch"
"$bin/pip" install --no-cache-dir -c /wheels/constraints.txt "$(ls /wheels/*.whl)[http]"
# the wheel leaves out the large archives
cp /wheels/archives/*.pt "$("$bin/python" -c 'import spokestream.models.archives as a; print(a.__path__[0])')"
"$bin/python" /wheels/sbom.py > /opt/spokestream/sbom.cdx.json
