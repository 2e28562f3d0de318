"""First maps.

Reconstruct a scan from a file, look at two of its maps, and read a value. Set `SCAN` to the path of your own ISMRMRD
file; if the file does not exist, a small scan of two calves is simulated in its place.
"""

# %%
from pathlib import Path

import numpy as np
from matplotlib import pyplot

import spokestream

SCAN = Path("scan.h5")
if not SCAN.exists():
    spokestream.simulate(SCAN, anatomy="calf", matrix=96, coils=4)

# %% [markdown]
# `reconstruct` runs the same gadgets as the node. Without further arguments it takes the sequence from the header of
# the scan, and the pipeline that maps what the sequence encodes. Beside the maps of tissue there are maps that say how
# well the signal is explained: correlation, residual and misfit.

# %%
maps = spokestream.reconstruct(SCAN)
print(f"{maps.provenance['sequence']}; trajectory: {maps.provenance['trajectory']}")
print(", ".join(f"{name} in {unit}" for name, unit in maps.units.items() if unit != "1"))
print(", ".join(name for name, unit in maps.units.items() if unit == "1"))

# %% [markdown]
# A map is an array (slices, y, x). It is NaN where it has no meaning, for instance water T1 in fat; such voxels stay
# white.

# %%
middle = len(maps["ff"]) // 2
shown = {"ff": ("Fat fraction", 0, 1), "t1h2o": ("Water T1 in ms", 500, 2300)}
figure, panels = pyplot.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for panel, (name, (title, low, high)) in zip(panels, shown.items(), strict=True):
    image = panel.imshow(maps[name][middle], vmin=low, vmax=high)
    panel.set_title(title)
    panel.set_axis_off()
    figure.colorbar(image, ax=panel, shrink=0.8)
figure.savefig("maps.png")

# %% [markdown]
# The median of lean tissue is a first check: water T1 of muscle is about 1,400 ms at 3 T.

# %%
lean = maps["ff"] < 0.2
print(f"Water T1 where the fat fraction is below 0.2: {np.nanmedian(maps['t1h2o'][lean]):.0f} ms")
