"""`python -m spokestream.pipelines` is `spokestream`."""

import sys

from spokestream.pipelines.cli.main import main

if __name__ == "__main__":  # processes for scans import this file, too
    sys.exit(main())
