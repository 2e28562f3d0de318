"""How maps are stored as images: levels of integers, and the metadata that make them quantitative."""
