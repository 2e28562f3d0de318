"""The scripts and styles with which a browser draws maps."""

from pathlib import Path

__all__ = ["PANEL_FILES"]

PANEL_FILES = tuple(sorted(Path(__file__).with_name("static").iterdir()))
"""Scripts that draw a map, compute with regions and write numbers, and the styles of pages and maps."""
