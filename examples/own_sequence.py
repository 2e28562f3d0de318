"""A sequence of one's own: from a TOML file to a simulated scan and its maps.

python examples/own_sequence.py
"""

from pathlib import Path

import numpy as np

import spokestream
from spokestream.simulator.physics.sequences.loading import load_sequence

# runs of equal spokes: two echo times separate fat from off-resonance, changing flip angles encode T1 and B1
SEQUENCE = """
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
"""


def main() -> None:
    file = Path("mine.toml")
    file.write_text(SEQUENCE)
    sequence = load_sequence(file)
    print(f"{len(sequence)} spokes in {sequence.n_frames} frames; one slice takes {sequence.duration_ms / 1000:.1f} s.")
    # the scan's header holds the train of every spoke, so that the reconstruction needs no file
    scan = spokestream.simulate("mine.h5", sequence=str(file), matrix=64, coils=4, noise=0.02)
    maps = spokestream.reconstruct(scan)
    for name, unit in maps.units.items():
        print(f"{name}: median {np.nanmedian(maps[name]):.3g} {'' if unit == '1' else unit}")


if __name__ == "__main__":
    main()
