import json
from importlib.metadata import version

import h5py
import ismrmrd
import numpy as np
import pytest
from map_image_examples import FOV, NORMAL, PHASE, READ, SHAPE, example_images, example_maps
from nibabel.nifti1 import Nifti1Image

from spokestream.errors import FileError
from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.image_notes import counts_of_scan
from spokestream.pipelines.files.nifti import slice_affine
from spokestream.pipelines.files.outputs import ReconstructionReport, map_volumes, write_outputs
from spokestream.simulator.physics.quantities import QUANTITIES


def where_valid(z, name):
    """An example map with NaN outside the foreground; the fat fraction of the examples is below 0.7."""
    maps, inside = example_maps(z)
    return np.where(inside, maps[name], np.nan)


def report():
    return ReconstructionReport("scan.h5", "mrf_t1ff", 10, 3, 1.5, 0.2, 100.0)


def test_maps_h5_contains_the_images_unchanged(tmp_path):
    images = example_images(2)
    write_outputs(tmp_path / "new" / "maps", images, "<é/>", report())
    with ismrmrd.Dataset(tmp_path / "new/maps/maps.h5", mode="r") as file:
        assert file.read_xml_header().decode() == "<é/>"
        for image in images:
            back = file.read_image(f"image_{image.image_series_index}", image.slice)
            assert back.to_bytes() == image.to_bytes()


def test_the_report_names_the_pipeline_that_auto_was(tmp_path):
    images = example_images(1)
    assert write_outputs(tmp_path / "plain", images, "<a/>", report()).pipeline == "mrf_t1ff"
    for image in images:
        image.attribute_string = ismrmrd.Meta({**image.meta, "spokestream_pipeline": "mrf_t1t2"}).serialize()
    automatic = ReconstructionReport("scan.h5", "auto", 10, 3, 1.5, 0.2, 100.0)
    write_outputs(tmp_path / "maps", images, "<a/>", automatic)
    assert json.loads((tmp_path / "maps/report.json").read_text())["pipeline"] == "mrf_t1t2"


def test_volumes_are_in_slice_order_whatever_the_order_of_arrival():
    volumes = map_volumes(example_images(order=[2, 0, 1]))
    assert list(volumes) == ["ff", "t1h2o", "deltaf"]
    for z in range(3):
        np.testing.assert_allclose(volumes["t1h2o"][z], example_maps(z)[0]["t1h2o"], atol=0.5)


def test_the_centre_pixel_of_a_slice_lies_at_its_position():
    (image, *_) = example_images()
    affine = slice_affine(image)
    lps = np.diag([-1, -1, 1, 1]) @ affine
    np.testing.assert_allclose(lps @ [SHAPE[1] // 2, SHAPE[0] // 2, 0, 1], [5, -6, 7, 1], atol=1e-5)
    # ten pixels of 20 mm along a row, three of 30 mm down the columns
    np.testing.assert_allclose((lps @ [10, 3, 0, 0])[:3], 200 * np.array(READ) + 90 * np.array(PHASE), atol=1e-4)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_nifti_voxels_lie_in_the_patient_where_the_acquisitions_say(tmp_path, order):
    write_outputs(tmp_path, example_images(order=order, gap_mm=-20.0), "<x/>", report())
    nifti = Nifti1Image.from_filename(tmp_path / "t1h2o.nii.gz")
    data = np.asarray(nifti.dataobj)
    assert data.shape == (SHAPE[1], SHAPE[0], 3)
    assert nifti.header.get_xyzt_units()[0] == "mm"
    assert nifti.header["descrip"].item().decode() == "Water T1 [ms]"
    for z in range(3):
        maps, _ = example_maps(z)
        for y, x in ((4, 7), (2, 11), (6, 3)):
            lps = np.array([5.0, -6.0, 7.0]) + (x - 7) * 20 * np.array(READ) + (y - 4) * 30 * np.array(PHASE)
            ras = (lps - z * 20 * np.array(NORMAL)) * (-1, -1, 1)
            voxel = np.linalg.inv(nifti.affine) @ [*ras, 1]
            i, j, k, _ = np.rint(voxel).astype(int)
            np.testing.assert_allclose(voxel[:3], (i, j, k), atol=1e-3)
            assert data[i, j, k] == pytest.approx(maps["t1h2o"][y, x], abs=0.5)


def test_one_slice_is_as_thick_as_its_field_of_view(tmp_path):
    write_outputs(tmp_path, example_images(), "<x/>", report())
    np.testing.assert_allclose(
        Nifti1Image.from_filename(tmp_path / "ff.nii.gz").header.get_zooms(), (20, 30, FOV[2]), rtol=1e-5
    )


@pytest.mark.parametrize(
    "positions",
    [
        [(0, 0, 0), (6, -8, 0), (18, -24, 0)],  # uneven
        [(0, 0, 0), (0, 0, 0), (0, 0, 0)],  # one slice three times
    ],
)
def test_slices_that_form_no_even_stack_become_volumes_of_their_own(tmp_path, positions):
    written = write_outputs(tmp_path, example_images(3, positions=positions), "<x/>", report())
    assert {"ff-1.nii.gz", "ff-2.nii.gz", "ff-3.nii.gz"} <= set(written.files)
    for z in range(3):
        nifti = Nifti1Image.from_filename(tmp_path / f"t1h2o-{z + 1}.nii.gz")
        np.testing.assert_allclose(np.asarray(nifti.dataobj)[..., 0].T, where_valid(z, "t1h2o"), atol=0.5)


def test_the_results_do_not_depend_on_the_clock(tmp_path, monkeypatch):
    for name, seconds in (("a", 1e9), ("b", 1.1e9)):
        monkeypatch.setattr("time.time", lambda seconds=seconds: seconds)
        write_outputs(tmp_path / name, example_images(2), "<x/>", report())
    for file in ("ff.nii.gz", "overview.png", "report.json", "maps.h5"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_the_report_contains_provenance_and_irregularities(tmp_path):
    write_outputs(tmp_path, example_images(2), "<x/>", report())
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["provenance"]["trajectory"] == "embedded"
    assert "map" not in written["provenance"]
    assert [row["missing"] for row in written["integrity"] if row["map"] == "ff"] == [0, 1]
    assert written["integrity"][0]["clipped"] == 0
    assert written["versions"]["ismrmrd"]
    assert written["machine"]["cpus"] >= 1
    assert set(written["files"]) == {p.name for p in tmp_path.iterdir()} - {"report.json"}


def test_the_overview_shows_at_most_five_slices_and_an_empty_scan(tmp_path):
    sizes = []
    for n_slices in (1, 5, 9):
        write_outputs(tmp_path, example_images(n_slices), "<x/>", report())
        from matplotlib.image import imread

        sizes.append(imread(tmp_path / "overview.png").shape)
    assert sizes[0][0] < sizes[1][0]
    assert abs(sizes[1][0] - sizes[2][0]) < 20
    empty = example_images()
    for image in empty:
        image.data[:] = 2048 if stored_to_physical(image)[0] == "deltaf" else 0
    write_outputs(tmp_path, empty, "<x/>", report())


def test_a_json_file_beside_every_volume_says_what_it_holds(tmp_path):
    write_outputs(tmp_path, example_images(2), "<x/>", report())
    assert {p.name.removesuffix(".nii.gz") for p in tmp_path.glob("*.nii.gz")} == {"ff", "t1h2o", "deltaf"}
    about = json.loads((tmp_path / "t1h2o.json").read_text())
    assert (about["name"], about["unit"], about["valid"]) == ("t1h2o", "ms", "FF < 0.7")
    assert about["provenance"]["trajectory"] == "embedded"
    assert (about["software"], about["version"]) == ("spokestream", version("spokestream"))
    assert [(row["slice"], row["missing"]) for row in about["integrity"]] == [(0, 0), (1, 1)]
    assert json.loads((tmp_path / "deltaf.json").read_text())["valid"] == "tissue"
    header = Nifti1Image.from_filename(tmp_path / "ff.nii.gz").header
    assert (header["sform_code"], header["qform_code"]) == (1, 1)


def test_what_has_no_meaning_is_nan_and_zero_hertz_is_a_value(tmp_path):
    images = example_images(dtype="float32")
    write_outputs(tmp_path, images, "<x/>", report())
    maps, inside = example_maps()
    off_resonance = np.asarray(Nifti1Image.from_filename(tmp_path / "deltaf.nii.gz").dataobj)[..., 0].T
    assert np.array_equal(np.isfinite(off_resonance), inside)
    assert np.any(off_resonance == 0)
    for image in images:  # a fat fraction of 0.3 more: some voxels get beyond the limit of water T1
        if image.meta["spokestream_map"] == "ff":
            image.data[0, 0][inside] += 0.3
    write_outputs(tmp_path, images, "<x/>", report())
    t1 = np.asarray(Nifti1Image.from_filename(tmp_path / "t1h2o.nii.gz").dataobj)[..., 0].T
    lean = inside & (maps["ff"] + np.float32(0.3) < 0.7)
    assert 0 < lean.sum() < inside.sum()
    np.testing.assert_array_equal(t1, np.where(lean, maps["t1h2o"], np.nan))


def test_bids_names_and_units(tmp_path):
    for folder, positions in (("stack", None), ("single", [(0, 0, 0), (6, -8, 0), (18, -24, 0)])):
        write_outputs(tmp_path / folder, example_images(3, positions=positions), "<x/>", report(), Formats(bids=True))
    names = {p.name for p in (tmp_path / "stack").glob("*.nii.gz")}
    assert names == {"FFmap.nii.gz", "desc-water_T1map.nii.gz", "fieldmap.nii.gz"}
    assert (tmp_path / "single/chunk-2_desc-water_T1map.nii.gz").exists()
    t1 = np.asarray(Nifti1Image.from_filename(tmp_path / "stack/desc-water_T1map.nii.gz").dataobj)
    np.testing.assert_allclose(t1[..., 1].T, where_valid(1, "t1h2o") / 1000, atol=0.0005)
    about = json.loads((tmp_path / "stack/desc-water_T1map.json").read_text())
    assert (about["Units"], about["unit"], about["name"]) == ("s", "s", "t1h2o")
    fat_fraction = np.asarray(Nifti1Image.from_filename(tmp_path / "stack/FFmap.nii.gz").dataobj)
    np.testing.assert_allclose(fat_fraction[..., 0].T, 100 * where_valid(0, "ff"), atol=0.0126)


def test_quantities_of_one_suffix_have_different_names_in_bids():
    names = [quantity.bids.name for quantity in QUANTITIES.values() if quantity.bids]
    assert len(set(names)) == len(names)


def test_results_of_an_earlier_run_do_not_stay_and_other_files_do(tmp_path, caplog):
    positions = [(0, 0, 0), (6, -8, 0), (18, -24, 0)]
    write_outputs(tmp_path, example_images(3, positions=positions), "<x/>", report())
    write_outputs(tmp_path, example_images(), "<x/>", report(), Formats(bids=True))
    assert not list(tmp_path.glob("ff*"))
    assert "an earlier reconstruction wrote and this one does not: deltaf-1.json" in caplog.text
    mine = ("notes.txt", "ff-mask.nii.gz", "t1h2o-1.nii", "my-ff-1.nii.gz", "FFmap_old.json")
    for name in mine:
        (tmp_path / name).write_text("mine")
    caplog.clear()
    written = write_outputs(tmp_path, example_images(), "<x/>", report())
    assert {p.name for p in tmp_path.iterdir()} == {*written.files, "report.json", *mine}
    assert written.warnings == caplog.messages
    caplog.clear()
    assert write_outputs(tmp_path, example_images(), "<x/>", report()).warnings == caplog.messages == []


def test_an_error_leaves_earlier_results_as_they_were(tmp_path, monkeypatch):
    write_outputs(tmp_path, example_images(), "<x/>", report())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spokestream.pipelines.files.outputs.maps_figure", full)
    with pytest.raises(FileError, match=r"cannot be written: no space left on device\.$"):
        write_outputs(tmp_path, example_images(2), "<x/>", report())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_counts_of_a_slice_are_counted_once_and_those_of_pixels_for_each_map():
    rows = [
        {"map": name, "slice": z, "missing": 3 * z, "clipped": 1, "not_a_number": z}
        for name in ("ff", "b1") for z in range(3)
    ]  # fmt: skip
    assert counts_of_scan(rows) == {"clipped": 6, "missing": 9, "not_a_number": 6}


def test_foreign_images_are_refused_in_words(tmp_path):
    image = example_images()[0]
    image.meta["spokestream_map"] = "t9"
    with pytest.raises(FileError, match="unknown kind: t9"):
        write_outputs(tmp_path, [image], "<x/>", report())


def test_float_images_are_written_too(tmp_path):
    write_outputs(tmp_path, example_images(dtype="float32"), "<x/>", report())
    with h5py.File(tmp_path / "maps.h5") as file:
        assert file["dataset/image_101/data"].dtype == np.float32
    data = np.asarray(Nifti1Image.from_filename(tmp_path / "deltaf.nii.gz").dataobj)
    np.testing.assert_array_equal(data[..., 0].T, where_valid(0, "deltaf"))
