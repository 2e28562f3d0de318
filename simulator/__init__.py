"""The simulator: physics, phantoms, and scans of them. Knows no stream."""
