"""Named sets of conditions, under which methods are compared."""
