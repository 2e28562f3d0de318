"""The public interface: `import spokestream`."""

import subprocess
import sys
from typing import Any

import nibabel
import numpy as np
import pytest

import spokestream
from spokestream.errors import FileError, InputError, ScanError
from spokestream.gadgets.gadget import Chain
from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.files.replay import replay
from spokestream.pipelines.files.truth import read_truth
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary, save_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.scan_files.scan_file import truth_path


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return spokestream.simulate(tmp_path_factory.mktemp("scan") / "s.h5", matrix=32, coils=3, slices=2, noise=0.02)


@pytest.fixture(scope="module")
def maps(scan):
    return spokestream.reconstruct(scan)


def test_the_exported_names_are_these():
    assert spokestream.__all__ == [
        "Maps", "Scan", "__version__", "available_pipelines", "load_dictionary", "read_scan", "reconstruct", "simulate",
    ]  # fmt: skip
    assert set(spokestream.__all__) <= set(dir(spokestream))
    for name in spokestream.__all__:
        assert getattr(spokestream, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        spokestream.nonsense  # noqa: B018


def test_importing_it_loads_no_torch():
    program = "import spokestream, sys; assert not {'torch', 'finufft', 'h5py', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_maps_are_those_of_a_replay_in_physical_units(scan, maps, tmp_path):
    replay(scan.path, tmp_path, parameters={"datatype": "float32"})
    for name in ("ff", "t1h2o", "deltaf", "b1"):
        volume: Any = nibabel.load(tmp_path / f"{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(volume.dataobj).T, maps[name])
        np.testing.assert_allclose(volume.affine[:3, 3], maps.affines[0][:3, 3], atol=1e-3)
    assert maps.units["t1h2o"] == "ms"
    assert maps.affines.shape == (2, 4, 4)
    assert maps.provenance["pipeline"] == "mrf_t1ff"
    assert [counts["clipped"] for counts in maps.integrity] == [0, 0]


def test_what_means_nothing_is_masked(scan, maps):
    truth = read_truth(truth_path(scan.path))
    fatty = maps.values["ff"] > 0.7
    assert np.any(fatty & truth.tissue)
    assert np.isnan(maps["t1h2o"][fatty]).all()
    assert not maps.values["t1h2o"][fatty].any()
    assert np.array_equal(np.isnan(maps["deltaf"]), maps.values["b1"] == 0)  # 0 Hz is a value, outside tissue is none
    assert np.isnan(maps["ff"][~maps.masks["ff"]]).all()
    assert np.isfinite(maps["ff"][maps.masks["ff"]]).all()
    with pytest.raises(KeyError):
        maps["t2"]


def test_settings_are_those_of_the_command_line(scan, maps):
    other = spokestream.reconstruct(str(scan.path), virtual_coils=2)
    assert other.provenance["coils"] == "3 compressed to 2"
    assert np.any(other.values["ff"] != maps.values["ff"])
    with pytest.raises(InputError, match="no parameter 'coil'"):
        spokestream.reconstruct(scan, coil=2)
    with pytest.raises(InputError, match="no pipeline 'magic'; known are"):
        spokestream.reconstruct(scan, "magic")
    with pytest.raises(InputError, match="no setting 'pixels'"):
        spokestream.simulate("nowhere.h5", pixels=3)
    with pytest.raises(ScanError, match="no file"):
        spokestream.reconstruct("nowhere.h5")


def test_dictionaries_are_read(tmp_path):
    grid = Grid(*(np.array(axis) for axis in ([900.0], [300.0], [1.0], [0.0])))
    made = build_dictionary(load_sequence("t1ff-2d-1400"), grid)
    save_dictionary(tmp_path / "d.h5", made)
    assert spokestream.load_dictionary(tmp_path / "d.h5").axes.keys() == {"b1", "deltaf", "t1h2o", "t1fat"}
    with pytest.raises(FileError, match="is no dictionary file"):
        spokestream.load_dictionary(tmp_path / "none.h5")


def test_maps_become_an_xarray_dataset(maps):
    pytest.importorskip("xarray")
    dataset = maps.to_xarray()
    assert dataset["t1h2o"].attrs == {"units": "ms", "long_name": "Water T1"}
    assert dataset["t1h2o"].dims == ("slice", "y", "x")
    np.testing.assert_array_equal(dataset["t1h2o"], maps["t1h2o"])


class Entry:
    """An entry point of another package."""

    def __init__(self, name, value, offered):
        self.name, self.value, self._offered = name, value, offered

    def load(self):
        if isinstance(self._offered, Exception):
            raise self._offered
        return self._offered


def test_pipelines_of_other_packages_are_offered(monkeypatch, caplog):
    from spokestream.pipelines import chains

    theirs = PIPELINES["mrf_t1ff"]
    entries = [
        Entry("mrf_other", "other.chain:PIPELINE", theirs),
        Entry("mrf_t1ff", "rogue:PIPELINE", chains.Pipeline(theirs.settings, lambda scan, settings: Chain([]))),
        Entry("broken", "broken:PIPELINE", ImportError("no module named broken")),
        Entry("wrong", "wrong:thing", 7),
    ]
    monkeypatch.setattr(chains, "entry_points", lambda group: entries if group == "spokestream.pipelines" else [])
    monkeypatch.setattr(chains, "PIPELINES", dict(PIPELINES))
    chains.add_installed_pipelines()
    assert chains.PIPELINES.keys() == {*PIPELINES, "mrf_other"}
    assert chains.PIPELINES["mrf_t1ff"] is theirs  # nobody replaces ours
    assert [record.getMessage().split(" of ")[0] for record in caplog.records] == [
        "The pipeline 'broken'", "The pipeline 'wrong'",
    ]  # fmt: skip
    assert spokestream.available_pipelines() == ("auto", *PIPELINES)
