"""The acceptance test: a phantom of known values is found in the maps, measured, and compared with its reference."""

__all__: list[str] = []
