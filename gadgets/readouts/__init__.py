"""The mathematics of readouts: flags, counters, sampling, trajectories, orientation and demodulation."""
