"""Networks: training sets of the runtime's own fingerprints, training, archives, and the evaluation of maps."""
