"""The mathematics of spokes as numbers: their scale, outliers among neighbours, and jumps of receivers."""
