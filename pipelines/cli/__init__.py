"""The command line: `main`, options derived from settings, progress bars, and the commands."""
