"""What networks are trained on: patches of normalised slices, and their targets."""
