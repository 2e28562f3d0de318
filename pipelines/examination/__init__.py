"""What is found in a scan before it is reconstructed."""
