"""Pulse sequences: the train of excitations, its sources and its storage."""
