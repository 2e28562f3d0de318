"""Sequence presets, one TOML file each: the train is a list of runs of equal spokes."""
