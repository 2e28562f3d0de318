"""Names of the ways to images, without the ways: the command line uses them, and its help must not load torch."""

__all__ = ["IMAGES"]

IMAGES = ("adjoint", "iterative")
"""Images of the adjoint, see `gadgets/gridding.py`, or of low-rank inversion, see
`gadgets/imaging/subspace_inversion.py`."""
