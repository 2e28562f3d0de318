"""Files: scans are read from them, and maps, figures and reports are written to them."""
