"""The mathematics of restoration: images of all frames from few samples per frame, one method a file."""
