"""Pulse sequences: the train of excitations, where it comes from, how it is stored."""
