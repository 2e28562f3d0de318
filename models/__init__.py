"""Networks, their training and their export. None is shipped yet; the layer is here so that imports stay one-way."""
