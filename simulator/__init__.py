"""Physics, offline: sequences, signal model, dictionaries, phantoms and simulated scans. Knows no stream."""

import os

# finufft and torch each bring an OpenMP of their own and take turns within a scan: threads that spin while they wait
# would hold the cores that the other needs (measured next to other load: gridding four to fifty times slower). Read
# when they are loaded, hence here, in the layer that every other one imports first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
