"""The physics that the running node needs: sequences, signals, dictionaries, trajectories, tissue models.

It imports nothing of the other folders, and nothing else of the simulator.
"""
