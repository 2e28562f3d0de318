"""The mathematics of gridding: the oversampled grid, coil sensitivities, the foreground mask."""
