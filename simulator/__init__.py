"""Physics, offline: sequences, signal model, dictionaries, phantoms and simulated scans. Knows no stream."""
