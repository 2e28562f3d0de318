"""A test object of the simulator in any pose: maps as a scan shows them, and a scan that is turned and shifted."""

from functools import cache
from pathlib import Path

import ismrmrd
import numpy as np
from rewritten_scan import rewrite_scan, samples
from scipy.ndimage import affine_transform, gaussian_filter

from spokestream.pipelines.acceptance.reach import reach
from spokestream.pipelines.files.outputs import ScanMaps
from spokestream.simulator.phantoms import draw_subject, render

FINE = 4
"""Points of the rendering along each pixel of the maps."""
BLUR_PIXELS = 0.4
NOISE = {"t1": 0.03, "t2": 0.15, "t1h2o": 0.03, "ff": 0.02}
"""Standard deviation of the noise, relative to the value; that of the fat fraction is absolute."""
TRUTH = {"t1": "t1h2o", "t2": "t2h2o", "t1h2o": "t1h2o", "ff": "ff"}


def placed_maps(anatomy, level, pose, rng, names=("t1", "t2"), matrix=96, fov_mm=240.0, seed=0):
    """Maps and masks (y, x) of a test object: averaged over pixels, blurred, noisy, within the reach of the maps."""
    fine = _rendered(anatomy, seed, level, FINE * matrix, fov_mm)
    into = _pulling(pose, FINE * matrix, fov_mm)
    # the middle pixel's centre, not its corner, is the middle of the maps
    into["offset"] = into["offset"] + into["matrix"] @ np.full(2, -(FINE - 1) / 2)
    density = _pixels(affine_transform(fine.pd, **into, order=1))
    maps, valid = {}, {}
    ranges = reach(names)
    for name in names:
        amount = _pixels(affine_transform(fine.pd * getattr(fine, TRUTH[name]), **into, order=1))
        values = np.divide(amount, density, out=np.zeros_like(amount), where=density > 0.05)
        noise = NOISE[name] * rng.standard_normal(values.shape) * (1 if name == "ff" else values)
        maps[name] = np.clip(values + noise, *ranges[name]).astype(np.float32)
        valid[name] = density > 0.3
    return maps, valid


_rendered = cache(lambda anatomy, seed, *where: render(anatomy, draw_subject("patients", seed), *where))


def scan_of(*slices, fov_mm=240.0):
    """The maps of a scan whose slices are pairs of maps and masks, as `placed_maps` gives them."""
    names, shape = slices[0][0], next(iter(slices[0][0].values())).shape
    image = ismrmrd.Image.from_array(np.zeros(shape, np.float32))
    image.field_of_view[:] = (fov_mm, fov_mm, 8.0)
    return ScanMaps(
        {name: [image] * len(slices) for name in names},
        {name: np.stack([maps[name] for maps, _ in slices]) for name in names},
        {name: np.stack([valid[name] for _, valid in slices]) for name in names},
    )


def _pixels(fine):
    """Blurred means over the pixels of the maps."""
    n = len(fine) // FINE
    return gaussian_filter(fine.reshape(n, FINE, n, FINE).mean((1, 3)), BLUR_PIXELS)


def _pulling(pose, n, fov_mm):
    """The arguments of `affine_transform` that move an image (n, n) by a pose."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    origin, along_x, along_y = pose.place(corners)
    forward = np.array([along_x - origin, along_y - origin]).T  # (x, y) to (x, y)
    forward = forward[::-1, ::-1]  # rows and columns
    backward = np.linalg.inv(forward)
    shift = origin[::-1] * n / fov_mm
    middle = np.full(2, n // 2)
    return {"matrix": backward, "offset": middle - backward @ (middle + shift)}


def move_scan(path: Path, pose, pixel_mm: float) -> None:
    """Turn and shift what a scan shows, by the theorems of the Fourier transform.

    Its trajectory is embedded, in cycles per pixel.
    """
    c, s = np.cos(np.deg2rad(pose.angle_deg)), np.sin(np.deg2rad(pose.angle_deg))
    turn = np.array([[c, s], [-s, c]])
    shift = np.array([pose.x_mm, pose.y_mm]) / pixel_mm

    def move(row):
        if len(row["traj"]):
            k = row["traj"].reshape(-1, 2)
            k[:] = k @ turn
            samples(row)[:] *= np.exp(-2j * np.pi * (k @ shift))

    rewrite_scan(path, move)
