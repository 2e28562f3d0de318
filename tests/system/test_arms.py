"""From simulated spiral arms and echo-planar images to T1 and T2, compared with the truth.

The flip angles are nominal everywhere, because the pipeline assumes that they are.
"""

import logging
import re
from dataclasses import replace

import numpy as np
import pytest

from spokestream.pipelines.api import reconstruct
from spokestream.pipelines.files.truth import read_truth
from spokestream.simulator.exam import Exam
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(autouse=True)
def nominal_flip_angles(monkeypatch):
    rendered = Exam._still
    monkeypatch.setattr(Exam, "_still", lambda *args: replace(p := rendered(*args), b1=np.ones_like(p.b1)))


def scanned(path, **settings):
    """Median T1 and T2 in ms of voxels of one tissue, in maps and truth: tissue -> ((T1, true T1), (T2, true T2))."""
    simulate_scan(path, SimulationSettings(seed=3, matrix=48, coils=4, noise=0.02, **settings))
    maps = reconstruct(path, "mrf_t1t2")
    truth, found = read_truth(path.with_suffix(".truth.h5")), {}
    for number, name in enumerate(truth.names):
        inside = (truth.label[0] == number) & (truth.purity[0] == 1) & np.isfinite(maps["t1"][0])
        if inside.any():
            found[name] = tuple(
                (np.median(maps[value][0][inside]), np.median(truth.maps[value][0][inside])) for value in ("t1", "t2")
            )
    return found


@pytest.mark.parametrize(
    ("arms", "sequence", "oversampling"),
    [("radial", "fisp-fang-576", 2), ("spiral", "fisp-fang-576", 2), ("epi", "epi-cohen-25", 1)],
)
def test_brain(tmp_path, caplog, arms, sequence, oversampling):
    with caplog.at_level(logging.WARNING):
        found = scanned(tmp_path / "scan.h5", anatomy="brain", sequence=sequence, arms=arms, oversampling=oversampling)
    # large voxels that mix tissues may leave signal unexplained, but k-space is what the header says
    assert not re.search("trajectory is|k-space|resolution|field of view|empty", caplog.text)
    for tissue in ("white matter", "deep grey matter"):
        (t1, true_t1), (t2, true_t2) = found[tissue]
        assert t1 == pytest.approx(true_t1, rel=0.05)
        assert t2 == pytest.approx(true_t2, rel=0.1)


def test_the_spheres_of_the_nist_phantom_by_echo_planar_images(tmp_path):
    found = scanned(tmp_path / "scan.h5", anatomy="nist", sequence="epi-cohen-25", arms="epi", oversampling=1)
    spheres = np.array([found[f"sphere {n}"] for n in range(1, 9)])  # T1 of the others is below the dictionary's 100 ms
    for values in np.log(spheres).transpose(1, 2, 0):
        assert np.corrcoef(values)[0, 1] ** 2 > 0.99
