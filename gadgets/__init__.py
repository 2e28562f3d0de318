"""What happens to the stream: one gadget a file, its maths in plain functions."""
