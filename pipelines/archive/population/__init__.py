"""The values of the maps of all scans of an archive, compared."""
