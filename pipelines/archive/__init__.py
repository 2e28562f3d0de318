"""The scans of an archive are reconstructed by many workers, each scan in a folder of its own."""
