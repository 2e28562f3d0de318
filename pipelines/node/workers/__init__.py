"""What runs the chains of a node's scans: threads of the node, or processes of their own."""
