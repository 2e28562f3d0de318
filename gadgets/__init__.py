"""The gadgets: one step of the chain per file. Their mathematics is in plain functions, in folders by subject."""
