"""Methods to compute magnetisation during a train of pulses; `spokestream.simulator.physics.fingerprint` chooses one.

Each takes a sequence and the tissue, with one value for each atom, and returns the transverse magnetisation (atoms,
spokes) immediately after each pulse, in the frame that follows the phase of the pulses. A pulse rotates longitudinal
magnetisation onto the real axis. Crushers remove all transverse magnetisation before the inversion pulse and before the
train; longitudinal magnetisation stays, also if it varies within the voxel.
"""
