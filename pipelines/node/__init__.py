"""The node on the network: server, sessions, recordings."""
