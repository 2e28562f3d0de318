"""Dictionaries: the signals of a grid of tissues, on disk and in memory."""
