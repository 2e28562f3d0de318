"""Where a phantom lies in the maps of a slice."""
