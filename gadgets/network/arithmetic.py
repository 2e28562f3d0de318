"""Where networks compute and with which numbers: the names by which settings ask for it."""

__all__ = ["DEVICES", "PRECISIONS"]

DEVICES = ("auto", "cpu", "cuda")
"""`auto` is CUDA where there is some."""
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
"""`auto` is half precision on CUDA, bfloat16 on processors that multiply it, single precision on others."""
