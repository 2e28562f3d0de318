"""Write `docs/provisional.jpg`: the errors of provisional maps by the number of spokes that have come.

    python docs/provisional.py

A thigh and a brain are simulated and reconstructed. It takes about two minutes.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import ismrmrd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.gadgets.stored_maps.provisional import PROVISIONAL, is_provisional
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.truth import Truth, judged_voxels, read_truth
from spokestream.pipelines.provisional_maps import ProvisionalMaps
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.physics.colour_scales import colour_map, colour_scale
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

PICTURE = Path(__file__).with_suffix(".jpg")
EVERY = 64
SCANS = {
    "mrf_t1ff": (SimulationSettings(matrix=192, coils=8, seed=2000), ("ff", "t1h2o", "deltaf")),
    "mrf_t1t2": (
        SimulationSettings(anatomy="brain", matrix=128, coils=8, seed=3, sequence="fisp-fang-576"), ("t1", "t2"),
    ),
}  # fmt: skip
SHOWN = (896, 1088, 1280)
"""Spokes of the water T1 maps that are shown."""
Maps = dict[str, NDArray[np.float32]]


def maps_by_spokes(path: Path, pipeline: str) -> dict[int, Maps]:
    """Number of spokes -> map -> (1, y, x); the final maps are those of all spokes."""
    scan, found = read_scan(path), {}
    asked = {"provisional": EVERY, "datatype": "float32", "refine": "on"}
    chain = start_scan(select(pipeline).with_parameters(asked), scan.xml, logging.getLogger("docs"))
    (beside,) = (gadget for gadget in chain.gadgets if isinstance(gadget, ProvisionalMaps))

    def images() -> Iterator[ismrmrd.Image]:
        for acquisition in scan:
            yield from chain.feed(acquisition)
            while beside.busy:
                time.sleep(0.01)
        yield from chain.finish()

    for image in images():
        name, _, values = stored_to_physical(image)
        total = image.meta["spokestream_sequence"].split()[-2]
        words = image.meta[f"spokestream_{PROVISIONAL}"] if is_provisional(image) else total
        found.setdefault(int(words.split()[0]), {})[name] = values[None]
    chain.close()
    return found


def draw_errors(axes: Axes, of_spokes: dict[int, Maps], truth: Truth, name: str) -> None:
    """Draw median errors and median standard deviations."""
    errors, stds = [], []
    for maps in of_spokes.values():
        mask = judged_voxels(maps, truth)[name]
        errors.append(np.median(np.abs(maps[name] - truth.maps[name])[mask]))
        stds.append(0.6745 * np.median(maps[f"{name}_std"][mask]))  # half of normal errors are smaller than that
    spokes = list(of_spokes)
    axes.plot(spokes, errors, "o-", color="#0b5fa5", markersize=4, label="error")
    axes.plot(spokes, stds, "--", color="#8a5300", label="expected from the standard deviation")
    axes.plot(spokes[-1:], errors[-1:], "o", color="black", markersize=7, label="final maps")
    axes.set_ylim(0, 1.1 * max(*errors, *stds))
    axes.set_title(f"{QUANTITIES[name].label}", fontsize=10)
    axes.set_xlabel("spokes", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)


def main() -> None:
    """Simulate, reconstruct and draw."""
    figure = Figure(figsize=(15, 5.4), layout="constrained")
    maps_row, errors_row = figure.subfigures(2, 1, height_ratios=[1, 1.3])
    plots = iter(np.ravel(errors_row.subplots(1, 5)))
    with TemporaryDirectory() as folder:
        for pipeline, (settings, names) in SCANS.items():
            path = Path(folder) / f"{pipeline}.h5"
            simulate_scan(path, settings)
            truth, of_spokes = read_truth(path.with_suffix(".truth.h5")), maps_by_spokes(path, pipeline)
            if pipeline == "mrf_t1ff":
                last = max(of_spokes)
                shown = {f"{n} of {last} spokes": of_spokes[n]["t1h2o"][0] for n in SHOWN}
                shown |= {"final map": of_spokes[last]["t1h2o"][0], "truth": truth.maps["t1h2o"][0]}
                mask = judged_voxels(of_spokes[last], truth)["t1h2o"][0]
                rows = np.flatnonzero(truth.label[0].any(axis=1))
                rows = slice(rows[0] - 4, rows[-1] + 5)
                quantity = QUANTITIES["t1h2o"]
                for axes, (title, values) in zip(maps_row.subplots(1, 5), shown.items(), strict=True):
                    axes.imshow(
                        np.where(mask, values, np.nan)[rows], cmap=colour_map(quantity.colours),
                        norm=colour_scale(quantity, quantity.low, 1800), interpolation="nearest",
                    )  # fmt: skip
                    axes.set_facecolor("black")
                    axes.set_title(f"Water T1, {title}", fontsize=10)
                    axes.set_xticks([])
                    axes.set_yticks([])
            for name in names:
                axes = next(plots)
                draw_errors(axes, of_spokes, truth, name)
                if name == names[0]:
                    axes.set_ylabel(f"median error, {settings.anatomy}", fontsize=9)
                    axes.legend(fontsize=8, loc="lower left")
    figure.savefig(PICTURE, dpi=85, pil_kwargs={"quality": 85, "optimize": True})


if __name__ == "__main__":
    main()
