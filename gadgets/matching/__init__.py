"""The mathematics of dictionary matching: exact searches for dictionaries of one and two pools."""
