"""Reconstruct a scan from a file and plot two of its maps.

python examples/replay_and_plot.py            # simulates a small scan first
python examples/replay_and_plot.py scan.h5    # an ISMRMRD file, or the recording of a session
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure

import spokestream

PICTURE = Path("maps.png")


def plot(maps: spokestream.Maps, path: Path) -> None:
    """The fat fraction and the water T1 of the middle slice; NaN, where a map means nothing, stays white."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (name, limits) in zip(figure.subplots(1, 2), {"ff": (0, 1), "t1h2o": (500, 2300)}.items(), strict=True):
        middle = len(maps[name]) // 2
        shown = axes.imshow(maps[name][middle], vmin=limits[0], vmax=limits[1])
        axes.set_title(name)
        figure.colorbar(shown, ax=axes, label=maps.units[name])
    figure.savefig(path)


def main() -> None:
    with TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            scan = spokestream.read_scan(sys.argv[1])
        else:
            scan = spokestream.simulate(Path(folder) / "scan.h5", anatomy="calf", matrix=64, coils=4)
        maps = spokestream.reconstruct(scan)
    plot(maps, PICTURE)
    print(f"{maps.provenance['sequence']}; trajectory: {maps.provenance['trajectory']}. See {PICTURE}.")


if __name__ == "__main__":
    main()
