"""`python -m spokestream.pipelines` is `spokestream`."""

import sys

from spokestream.pipelines.cli.main import main

sys.exit(main())
