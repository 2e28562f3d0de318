"""The denoiser of maps: its settings, the evidence that it learns from, and its training."""
