"""Small scans for archives: one simulated scan, and copies of it with more noise."""

import shutil

import h5py
import numpy as np
import pytest

from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="session")
def thigh(tmp_path_factory):
    """A scan of 32 pixels, with its truth beside it."""
    path = tmp_path_factory.mktemp("thigh") / "thigh.h5"
    simulate_scan(path, SimulationSettings(matrix=32, coils=3, noise=0.02))
    return path


def with_noise(source, target, seed, scanner=""):
    """A copy of a scan with additional noise, and with another model of scanner in its header if one is given."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    rng = np.random.default_rng(seed)
    with h5py.File(target, "r+") as file:
        rows = file["dataset/data"][()]
        size = 0.01 * np.abs(rows["data"][-1]).max()
        for i, samples in enumerate(rows["data"]):
            rows["data"][i] = samples + size * rng.standard_normal(samples.shape).astype(np.float32)
        file["dataset/data"][...] = rows
        if scanner:
            xml = file["dataset/xml"][0].decode().replace("simulator</systemModel>", f"{scanner}</systemModel>")
            file["dataset/xml"][0] = xml.encode()
    return target


@pytest.fixture(scope="session")
def noisy_copy():
    return with_noise
