"""Training sets: the runtime's own fingerprints of a population of subjects, and the true maps."""
