"""Parts of the body and test objects, one a file."""

__all__: list[str] = []
