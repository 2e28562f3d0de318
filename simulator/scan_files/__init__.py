"""ISMRMRD files of simulated scans, and the truth beside them."""
