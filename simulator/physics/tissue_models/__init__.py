"""Tissue models: what a fingerprint depends on."""
