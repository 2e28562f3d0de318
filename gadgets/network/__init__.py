"""Networks in the stream: archives, their contract, and how they run on a slice."""
