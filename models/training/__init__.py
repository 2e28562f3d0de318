"""Training of networks: inputs, losses, the training loop and its checkpoints."""
