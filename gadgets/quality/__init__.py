"""The quality of a slice: evidence from its images and from the fit of its maps, and a verdict in one sentence."""
