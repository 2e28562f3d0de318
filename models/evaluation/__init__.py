"""Evaluation of reconstructors on simulated subjects: measures of quality, and the report."""
