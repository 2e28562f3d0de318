"""Compose, run, talk: chains, the wire, the node, files and the command line."""
