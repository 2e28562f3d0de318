"""What happens to the stream: one gadget a file, its mathematics in plain functions."""
