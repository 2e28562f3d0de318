"""Names of the ways to images, without the ways: the command line uses them, and its help must not load torch."""

from typing import Any

from spokestream.settings import setting

__all__ = ["ADJOINT", "CONSISTENT", "IMAGES", "ITERATIVE", "images_setting"]

ADJOINT, ITERATIVE = "adjoint", "iterative"
IMAGES = (ADJOINT, ITERATIVE)
"""Images that networks are trained on: of the adjoint, see `gadgets/gridding.py`, or of low-rank inversion, see
`gadgets/imaging/subspace_inversion.py`."""
CONSISTENT = "consistent"
"""Images that agree with the samples as far as first maps explain them, see `gadgets/consistency.py`."""


def images_setting() -> Any:
    """The setting that chooses the images of a pipeline."""
    return setting(
        "auto",
        meaning="Images to map; auto is iterative for T1 and T2, or as trained, else adjoint. "
        "Sharper for water and fat: consistent.",
        choices=("auto", *IMAGES, CONSISTENT),
        peer=True,
    )
