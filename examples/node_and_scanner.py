"""The node beside a simulated scanner.

A node runs in this process, a client sends it a scan of three slices over TCP at the pace of a scanner, and the maps
of a slice come back while the next one is measured.
"""

# %%
from time import perf_counter

import numpy as np
from matplotlib import pyplot

import spokestream
from spokestream.pipelines import wire
from spokestream.pipelines.client import scanner_pace, send_scan
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.files.validity import valid_voxels
from spokestream.pipelines.node.server import local_server

scan = spokestream.simulate("three_slices.h5", anatomy="thigh", slices=3, matrix=64, coils=4)

# %% [markdown]
# `pace` holds the seconds from every readout to the next, from the time stamps of the scan; here the scanner runs
# five times faster than a real one. `on_event` is called with every message of the node.

# %%
SPEED = 5
pace = scanner_pace(scan, SPEED)
begin, arrived, said = perf_counter(), [], []


def listen(event: wire.Event) -> None:
    if isinstance(event, wire.Data):  # an image: one map of one slice
        arrived.append((perf_counter() - begin, event.item.slice))
    elif isinstance(event, wire.Text):
        said.append(event.text.strip())


with local_server() as port:
    begin = perf_counter()
    reply = send_scan(scan.xml, scan, port=port, pace=pace, on_event=listen)

# %% [markdown]
# The last slice is what a person at the console waits for. At the scanner, `spokestream serve` is the node, and the
# scanner's own client sends the scan; `spokestream send scan.h5 --speed 1` plays a file in its place.

# %%
sent = np.cumsum([0.0, *pace[:-1]])
print(f"The scan took {sent[-1]:.1f} s; {len(reply.images)} images came back.")
for number in range(3):
    last = max(second for second, acquisition in zip(sent, scan, strict=True) if acquisition.idx.slice == number)
    first_map = min(second for second, index in arrived if index == number)
    print(f"slice {number + 1}: last readout at {last:.1f} s, first map at {first_map:.1f} s")
for text in said:
    print(text)

# %%
maps = map_volumes(reply.images)
fat_fraction = np.where(valid_voxels(maps)["ff"], maps["ff"], np.nan)
figure, panels = pyplot.subplots(1, 3, figsize=(9, 3), layout="constrained")
for number, panel in enumerate(panels):
    shown = panel.imshow(fat_fraction[number], vmin=0, vmax=1)
    panel.set_title(f"Fat fraction, slice {number + 1}")
    panel.set_axis_off()
figure.colorbar(shown, ax=panels)
figure.savefig("slices.png")
