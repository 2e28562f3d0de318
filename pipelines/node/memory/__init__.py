"""The memory of scans: what one needs, what all may have, and who waits for it."""
