"""The mathematics of readouts: which are spokes, where they sample k-space, what is wrong with them."""
