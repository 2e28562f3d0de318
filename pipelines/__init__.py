"""Compose, run, talk: chains, the wire, server, client, replay and the command line."""

import simulator as simulator  # settles how threads wait before torch and finufft are loaded
