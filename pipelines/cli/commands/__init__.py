"""The commands of `spokestream`, one file each: `HELP`, `options` and `run`."""
