"""From a phantom to k-space: coils, sampling, noise, and what goes wrong in a scanner."""
