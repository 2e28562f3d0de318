"""Compose, run, talk: chains, the wire, server, client, replay and the command line."""
