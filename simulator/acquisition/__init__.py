"""From a phantom to k-space: coils, sampling, noise, and imperfections of the scanner."""
