"""Parts of the body and test objects, one in each file."""

__all__: list[str] = []
