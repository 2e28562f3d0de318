"""Digital phantoms: randomly drawn people and test objects, and slices through them as maps of tissue parameters."""

from spokestream.simulator.phantoms.phantom import MAP_UNITS, Phantom
from spokestream.simulator.phantoms.rendering import ANATOMIES, DEFAULT_FOV_MM, MM_PER_LEVEL, render, thigh
from spokestream.simulator.phantoms.subject import POPULATIONS, Subject, draw_subject

__all__ = [
    "ANATOMIES", "DEFAULT_FOV_MM", "MAP_UNITS", "MM_PER_LEVEL", "POPULATIONS", "Phantom", "Subject", "draw_subject",
    "render", "thigh",
]  # fmt: skip
