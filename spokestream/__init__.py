"""A streaming reconstruction node for MR fingerprinting: golden-angle spokes in, quantitative maps out."""

import os
from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

# finufft and torch each bring an OpenMP of their own and take turns within a scan: threads that spin while they wait
# would hold the cores that the other needs (measured next to other load: gridding four to fifty times slower). Both
# libraries read this when they are loaded, hence here, in the module that every import of this package runs first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("spokestream")
except PackageNotFoundError:  # a bare checkout
    __version__ = "unknown"
