"""The scan files of an archive: which there are, which are the same, and the memory that they need."""
