"""The storage of maps as images: levels of integers, and the metadata that make them quantitative."""
