"""What networks learn from: training sets of the runtime's own fingerprints. No network is shipped yet."""
