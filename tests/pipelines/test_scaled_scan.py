"""A scan in another unit of the samples gives the same tissue: no overflow or underflow in single precision."""

import numpy as np
import pytest

from spokestream import reconstruct
from spokestream.simulator.faults import RecordedReadouts
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


def mapped(path):
    """The maps of the exact search: of two mixtures that explain equally much, rounding decides the quick one."""
    return reconstruct(path, "mrf_t1ff", matcher="exact").values


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A thigh of 48 pixels with and without noise readouts, and its maps."""
    folder = tmp_path_factory.mktemp("scale")
    simulate_scan(folder / "noise.h5", SimulationSettings(matrix=48, coils=4, seed=3))
    recorded = RecordedReadouts.read(folder / "noise.h5")
    RecordedReadouts(recorded.xml, recorded.records[recorded.spokes]).write(folder / "none.h5")
    return {name: (folder / f"{name}.h5", mapped(folder / f"{name}.h5")) for name in ("noise", "none")}


def test_the_default_begins_with_a_quick_search_and_hardly_depends_on_it_either(scans, tmp_path):
    path, _ = scans["noise"]
    recorded = RecordedReadouts.read(path)
    for row in recorded.spokes + recorded.noise:
        recorded.samples(row)[:] *= np.float32(5e3)
    recorded.write(tmp_path / "scaled.h5")
    maps, scaled = (reconstruct(one, "mrf_t1ff").values for one in (path, tmp_path / "scaled.h5"))
    for parameter in WATER_FAT.names:
        std = maps[f"{parameter}_std"]
        judged = (std > 0) & np.isfinite(maps[parameter]) & np.isfinite(scaled[parameter])
        ratio = np.abs(scaled[parameter] - maps[parameter])[judged] / std[judged]
        assert np.quantile(ratio, 0.99) < 0.2, parameter  # as between the two searches, see tests/gadgets


@pytest.mark.parametrize(
    ("name", "factor"), [("noise", 1e-8), ("noise", 1e8), ("none", 1e-8), ("none", 1e-6), ("none", 5e3), ("none", 1e8)]
)
def test_tissue_does_not_depend_on_the_unit_of_the_samples(scans, tmp_path, name, factor):
    path, maps = scans[name]
    recorded = RecordedReadouts.read(path)
    for row in recorded.spokes + recorded.noise:
        recorded.samples(row)[:] *= np.float32(factor)
    recorded.write(tmp_path / "scaled.h5")
    scaled = mapped(tmp_path / "scaled.h5")
    assert np.count_nonzero(maps["ff"]) > 300
    for parameter in WATER_FAT.names:  # float32 with another rounding, much below the steps of stored maps
        np.testing.assert_allclose(scaled[parameter], maps[parameter], rtol=0, atol=0.1 * QUANTITIES[parameter].slope)
