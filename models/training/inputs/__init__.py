"""The training input of networks: patches of normalised slices, and their targets."""
