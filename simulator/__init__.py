"""The simulator: physics, phantoms, and scans of phantoms. It does not know the stream of messages."""
