"""The mathematics of dictionary matching: exact searches."""
