"""How well a tissue model explains measured fingerprints."""
