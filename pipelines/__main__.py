"""`python -m pipelines` is `spokestream`."""

import sys

from pipelines.cli import main

sys.exit(main())
