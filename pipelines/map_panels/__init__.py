"""Maps drawn in a browser: what the page of a node and the report of a reconstruction share."""
