"""The layouts of the phantoms: those that are known by name, and those that a site declares in a file."""
