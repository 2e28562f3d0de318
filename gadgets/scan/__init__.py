"""A scan: its header, its sequence, and the context in which its gadgets work."""
