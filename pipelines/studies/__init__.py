"""The studies of the papers behind this project, repeated on simulated data; one file a paper."""
