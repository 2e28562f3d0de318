"""Ways to compute what a train of pulses does to magnetisation; `spokestream.simulator.physics.fingerprint` picks one.

Each takes a sequence and the tissue, one value an atom, and returns the transverse magnetisation (atoms, spokes) right
after each pulse, in the frame that follows the phase of the pulses. A pulse turns the longitudinal into the real axis.
Before the inversion pulse and before the train what is transverse is gone (crushers); what is longitudinal stays,
also where it varies within the voxel.
"""
