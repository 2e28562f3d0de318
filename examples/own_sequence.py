"""A sequence of your own.

From a TOML file to a simulated scan and its maps. No code of spokestream changes.
"""

# %%
from pathlib import Path

import numpy as np
from matplotlib import pyplot

import spokestream
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.signal import pool_signal

# %% [markdown]
# A train is written as runs of spokes. Two echo times separate fat from off-resonance; changing flip angles encode T1
# and B1.

# %%
Path("mine.toml").write_text("""
ti_ms = 10.0
recovery_ms = 3000.0
repetitions = 2

[[train]]
spokes = 320
flip_angle_deg = 6.0
te_ms = 2.4
tr_ms = 4.0

[[train]]
spokes = 160
flip_angle_deg = 14.0
te_ms = 3.5
tr_ms = 5.1

[[train]]
spokes = 160
flip_angle_deg = 10.0
te_ms = 2.4
tr_ms = 4.0
""")
sequence = load_sequence("mine.toml")
print(f"{len(sequence)} spokes in {sequence.n_frames} frames; one slice takes {sequence.duration_ms / 1000:.1f} s.")

# %% [markdown]
# Look at the signal of a few tissues before anything is scanned: their fingerprints must differ.

# %%
t1_ms = np.array([300.0, 1000.0, 1400.0])
figure, panel = pyplot.subplots(figsize=(8, 3), layout="constrained")
panel.plot(pool_signal(sequence, t1_ms=t1_ms, b1=1.0, t2_ms=40.0).real.T, label=[f"T1 {t:.0f} ms" for t in t1_ms])
panel.set_xlabel("spoke")
panel.set_ylabel("signal")
panel.legend()
figure.savefig("signal.png")

# %% [markdown]
# The scan's header holds flip angle, TE and TR of every spoke, so that the reconstruction needs no file.
# The medians are those of lean tissue.

# %%
scan = spokestream.simulate("mine.h5", sequence="mine.toml", matrix=64, coils=4, noise=0.02)
maps = spokestream.reconstruct(scan)
lean = maps["ff"] < 0.3
for name in ("ff", "t1h2o", "deltaf", "b1"):
    print(f"{name}: median {np.nanmedian(maps[name][lean]):.4g} {maps.units[name].replace('1', '')}".rstrip())
