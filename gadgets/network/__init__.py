"""Networks in the chain: archives, their contracts, and the computation of a slice in tiles."""
