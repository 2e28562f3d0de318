"""Names of the ways to images, without the ways: the command line uses them, and its help must not load torch."""

from typing import Any

from spokestream.settings import setting

__all__ = ["IMAGES", "images_setting"]

IMAGES = ("adjoint", "iterative")
"""Images of the adjoint, see `gadgets/gridding.py`, or of low-rank inversion, see
`gadgets/imaging/subspace_inversion.py`."""


def images_setting() -> Any:
    """The setting that chooses the images of a pipeline."""
    return setting(
        "auto",
        meaning="Images that are mapped: adjoint, or iterative ones, slower; auto: these for T1 and T2, or as trained.",
        choices=("auto", *IMAGES),
        peer=True,
    )
