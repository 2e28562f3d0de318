#!/bin/bash
# Starts Gadgetron such that its `python` is the one with spokestream: the Python of Gadgetron's own image is too old.
set -eo pipefail
if [ -r /opt/conda/etc/profile.d/conda.sh ]; then
    . /opt/conda/etc/profile.d/conda.sh
    conda activate gadgetron
fi
export PATH=/opt/spokestream/bin:$PATH
if [ -x /tini ]; then
    exec /tini -- gadgetron "$@"
fi
exec gadgetron "$@"
