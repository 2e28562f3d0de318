"""Scans from files and maps to files."""
