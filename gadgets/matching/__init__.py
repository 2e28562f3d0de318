"""The mathematics of dictionary matching: one file for each matcher, for dictionaries of one and of two pools."""
