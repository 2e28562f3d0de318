"""The report of a reconstruction as one HTML page: maps that a reader can window, tables and definitions."""
