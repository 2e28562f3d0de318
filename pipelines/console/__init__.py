"""What a site sees of its node: health, metrics, a log for programs, and a page with the maps of the last scans."""
