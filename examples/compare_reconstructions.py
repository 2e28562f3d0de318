"""Compare two reconstructions.

The same simulated scan is reconstructed by dictionary matching and by the network that comes with the software. The
truth of a simulated scan is known, so that both get errors. For a scan of a patient, compare the two maps with each
other.
"""

# %%
import h5py
import numpy as np
from matplotlib import pyplot

import spokestream

scan = spokestream.simulate("thigh.h5", anatomy="thigh", seed=2000, matrix=96, coils=6, noise=0.1)
reconstructions = {
    "matching": spokestream.reconstruct(scan, "mrf_t1ff"),
    "network": spokestream.reconstruct(scan, "mrf_t1ff_net"),
}

# %% [markdown]
# The truth lies beside the scan. Water T1 is compared where both the map and the truth have a meaning, in voxels that
# hold one tissue only: a voxel at a border has no T1 of its own.

# %%
with h5py.File("thigh.truth.h5") as file:
    truth = {name: file[name][:] for name in ("ff", "t1h2o")}
    pure = (file["purity"][:] == 1) & (file["label"][:] > 0)
    lean = pure & (truth["ff"] < 0.7)
voxels = {"ff": pure, "t1h2o": lean}

for method, maps in reconstructions.items():
    for name, mask in voxels.items():
        error = (maps[name] - truth[name])[mask & np.isfinite(maps[name])]
        print(f"{method:8} {name:6} bias {error.mean():+8.3f}   RMSE {np.sqrt((error**2).mean()):7.3f}")

# %% [markdown]
# Where are the two different? A difference that follows anatomy is a bias of one of them, one that looks like noise
# is aliasing. At this small size aliasing is the largest part.

# %%
figure, panels = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for panel, (method, maps) in zip(panels, reconstructions.items(), strict=False):
    image = panel.imshow(maps["t1h2o"][0], vmin=1000, vmax=1800)
    panel.set_title(f"Water T1 by {method}, ms")
figure.colorbar(image, ax=panels[1], shrink=0.7)
difference = reconstructions["network"]["t1h2o"][0] - reconstructions["matching"]["t1h2o"][0]
image = panels[2].imshow(difference, vmin=-300, vmax=300, cmap="RdBu")
panels[2].set_title("Network − matching, ms")
figure.colorbar(image, ax=panels[2], shrink=0.7)
for panel in panels:
    panel.set_axis_off()
figure.savefig("comparison.png")
