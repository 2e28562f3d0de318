"""What is known of a scan before its first spoke."""
