"""A network trained on your own data.

Train a network for your own sequence, matrix and coils, export it, and reconstruct a scan that it has not seen. This
run is so small that it lasts seconds: its maps show that everything works, and are worse than those of matching. A
network for use takes 100 subjects and some hours; the same three steps are the commands `dataset`, `train` and
`export`.
"""

# %%
from pathlib import Path

import h5py
import numpy as np
from matplotlib import pyplot

import spokestream
from spokestream.models.datasets.making import DataSettings, make_training_set
from spokestream.models.training.exporting import export
from spokestream.models.training.loop import train
from spokestream.models.training.training_settings import TrainingSettings

SEQUENCE = """
ti_ms = 10.0
recovery_ms = 3000.0
repetitions = 2
[[train]]
spokes = 320
flip_angle_deg = { ramp = [4, 12] }
te_ms = 2.4
tr_ms = 4.0
[[train]]
spokes = 160
flip_angle_deg = 8.0
te_ms = 3.5
tr_ms = 5.1
"""
with Path("mine.toml").open("w") as file:
    file.write(SEQUENCE)

# %% [markdown]
# The training set: fingerprints as the node makes them, with their noise and aliasing, and the true maps. Anatomy,
# noise, coils and delays are drawn from ranges, which should hold those of your scans.

# %%
data = DataSettings(sequence="mine.toml", anatomies="calf", matrix=48, coils=(4, 4), delays=0.0, subjects=5, slices=2)
made = make_training_set(Path("calves"), data, scheduler="synchronous")
print(f"{made} subjects")

# %% [markdown]
# The last subject is held out: the weights with the smallest error in it are kept. The published network of Cohen et
# al. sees single fingerprints, so that it is trained quickly.

# %%
settings = TrainingSettings(
    "cohen2018", validation=1, epochs=15, per_slice=300, batch=300, decay="cosine", precision="float32"
)
losses = {}
best = train(Path("run"), Path("calves"), settings, report=lambda state: losses.update({state.batch: state.loss}))
export(Path("run"), Path("calves"), Path("mine.pt"), name="mine")
print(f"{len(losses)} steps; best after epoch {best.epoch}; errors over the range of each map:")
print(", ".join(f"{name} {error:.2f}" for name, error in best.nrmse.items()))

# %%
figure, panel = pyplot.subplots(figsize=(7, 2.6), layout="constrained")
panel.semilogy(losses.keys(), losses.values())
panel.set_xlabel("step")
panel.set_ylabel("loss")
figure.savefig("loss.png")

# %% [markdown]
# A scan of another subject. `archive` takes the file; at the scanner the operator gives it to the node, with
# `spokestream serve --archive mine.pt`.

# %%
scan = spokestream.simulate("calf.h5", sequence="mine.toml", anatomy="calf", seed=100, matrix=48, coils=4)
by_network = spokestream.reconstruct(scan, "mrf_t1ff_net", archive="mine.pt")
by_matching = spokestream.reconstruct(scan, "mrf_t1ff")
with h5py.File("calf.truth.h5") as file:
    truth, pure = file["ff"][:], (file["purity"][:] == 1) & (file["label"][:] > 0)
for method, maps in {"network": by_network, "matching": by_matching}.items():
    error = (maps["ff"] - truth)[pure & np.isfinite(maps["ff"])]
    print(f"{method:8} RMSE of the fat fraction {np.sqrt((error**2).mean()):.3f}")
figure, panels = pyplot.subplots(1, 3, figsize=(9, 3), layout="constrained")
shown = {"truth": truth, "network": by_network["ff"], "matching": by_matching["ff"]}
for panel, (title, values) in zip(panels, shown.items(), strict=True):
    panel.imshow(values[0], vmin=0, vmax=1)
    panel.set_title(f"Fat fraction, {title}")
    panel.set_axis_off()
figure.savefig("own_network.png")
