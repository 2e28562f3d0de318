"""The networks: published ones, and our own."""
