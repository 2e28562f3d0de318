"""The mathematics of noise readouts: their covariance, its inverse, and the check that they hold noise."""
