"""The mathematics of readouts: imaging flags, trajectories and the demodulation frequency."""
