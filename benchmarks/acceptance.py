"""Finding and measuring the NIST phantom in random poses: maps that the truth gives, and whole scans."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import print_machine
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from placed_phantom import move_scan, placed_maps, scan_of

from spokestream.pipelines.acceptance.accepting import MEASURED, accept_maps
from spokestream.pipelines.acceptance.layouts.layout import nist_layouts
from spokestream.pipelines.acceptance.placement.pose import Pose, centres_mm
from spokestream.pipelines.files.outputs import scan_maps
from spokestream.pipelines.files.replay import reconstruct
from spokestream.pipelines.files.scan_source import open_scan
from spokestream.pipelines.selection import select
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

FOUND_MM = 2.0
"""Largest distance of a circle to its sphere, whose radius is 7.5 mm."""
FOV_MM = 220.0


def random_pose(rng, mirrored=True):
    """Shifts of up to 20 mm, any angle, and any side."""
    x, y = rng.uniform(-20, 20, 2)
    return Pose(float(x), float(y), float(rng.uniform(-180, 180)), bool(mirrored and rng.integers(2)))


def farthest(one, pose):
    """The largest distance in mm of a measured circle to its sphere."""
    truth = pose.place(centres_mm(one.layout.vials))
    return float(np.linalg.norm(one.centres_mm - truth, axis=1).max())


def in_maps(placements, console):
    """Maps of the simulator's truth in random poses, averaged over pixels, blurred and noisy."""
    table = Table("maps", "array", "spheres found", "farthest mm", "likeness", "next pose", "judged values that pass")
    rng = np.random.default_rng(16)
    for names in (("t1", "t2"), ("t1h2o", "ff")):
        for layout, level in zip(nist_layouts(), (0.5, -0.5), strict=True):
            right, distances, likeness, rivals, judged, passed = 0, [], [], [], 0, 0
            for _ in range(placements):
                pose = random_pose(rng)
                found = accept_maps(scan_of(placed_maps("nist", level, pose, rng, names)), nist_layouts(), 3.0)
                (one,) = found
                distances.append(farthest(one, pose))
                right += one.layout.title == layout.title and distances[-1] < FOUND_MM
                likeness.append(one.found.likeness)
                rivals.append(one.found.rival)
                judged += sum(row.judged for row in one.rows)
                passed += sum(row.judged and row.passes for row in one.rows)
            table.add_row(
                ", ".join(names), layout.title[:8], f"all 14 in {right} of {placements}", f"{max(distances):.2f}",
                f"{min(likeness):.2f}", f"{max(rivals):.2f}", f"{passed} of {judged}",
            )  # fmt: skip
    console.print(table)


def in_scans(placements, matrix, console):
    """Whole scans of both arrays that are turned and shifted; the values are compared with those of the first scan."""
    table = Table("sequence", "pose", "farthest mm", "likeness", "largest change of T1 %", "judged values that pass")
    rng = np.random.default_rng(1)
    with TemporaryDirectory() as folder:
        for sequence in ("fisp-fang-576", "t1ff-2d-1400"):
            scan, first = Path(folder) / "scan.h5", {}
            poses = [Pose(), *(random_pose(rng, mirrored=False) for _ in range(placements))]
            for pose in poses:
                settings = SimulationSettings(
                    anatomy="nist", matrix=matrix, coils=4, slices=2, noise=0.02, sequence=sequence
                )
                simulate_scan(scan, settings)
                move_scan(scan, pose, FOV_MM / matrix)
                images, _ = reconstruct(open_scan(scan), select("auto").with_parameters(MEASURED))
                found = accept_maps(scan_maps(images), nist_layouts(), 3.0)
                assert len(found) == 2
                rows = [row for one in found for row in one.rows]
                t1 = {(i, row.vial): row.mean for i, one in enumerate(found) for row in one.rows
                      if row.map in ("t1", "t1h2o") and row.shown}  # fmt: skip
                first = first or t1
                change = max(abs(t1[key] / first[key] - 1) for key in t1)
                table.add_row(
                    sequence, f"({pose.x_mm:.1f}, {pose.y_mm:.1f}) mm, {pose.angle_deg:.0f}°",
                    ", ".join(f"{farthest(one, pose):.2f}" for one in found),
                    ", ".join(f"{one.found.likeness:.2f}" for one in found), f"{100 * change:.1f}",
                    f"{sum(row.judged and row.passes for row in rows)} of {sum(row.judged for row in rows)}",
                )  # fmt: skip
    console.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few placements, to test that the script works")
    quick = parser.parse_args().quick
    console = Console(width=120)
    print_machine(console, 2, ("numpy", "scipy", "finufft"))
    in_maps(2 if quick else 50, console)
    in_scans(1 if quick else 3, 72 if quick else 96, console)


if __name__ == "__main__":
    main()
