"""The fit of a tissue model to measured fingerprints: residuals, misfit and inversion efficiency."""
