"""Conversion of maps and of scans, by the command."""

import io
import json
import sys

import h5py
import ismrmrd
import numpy as np
import pydicom
import pytest
from map_image_examples import example_images, example_maps
from nibabel.nifti1 import Nifti1Image

from spokestream.pipelines.cli.main import main
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.hdf5_writing import write_items
from spokestream.pipelines.files.map_file import read_map_file, write_map_images
from spokestream.pipelines.files.message_stream import MessageStream, write_stream
from spokestream.pipelines.files.outputs import ReconstructionReport, write_outputs
from spokestream.pipelines.files.scan_source import open_scan

XML = "<ismrmrdHeader><é/></ismrmrdHeader>"


@pytest.fixture
def maps(tmp_path):
    """Three slices of maps in `maps.h5`."""
    write_map_images(tmp_path / "maps.h5", example_images(3), XML)
    return tmp_path / "maps.h5"


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_maps_become_what_a_reconstruction_writes(maps, tmp_path):
    report = ReconstructionReport("scan.h5", "mrf_t1ff", 10, 9, 1.5, 0.2, 100.0)
    write_outputs(tmp_path / "all", example_images(3), XML, report, Formats(dicom=True))
    assert main(["convert", str(maps), str(tmp_path / "nifti"), "--to", "nifti"]) == 0
    assert main(["convert", str(maps), str(tmp_path / "dicom"), "--to", "dicom"]) == 0
    assert main(["convert", str(maps), str(tmp_path / "new.png")]) == 0
    nifti = {f"{name}.{ending}" for name in ("ff", "t1h2o", "deltaf") for ending in ("nii.gz", "json")}
    assert names(tmp_path / "nifti") == nifti
    for name in nifti:
        assert (tmp_path / "nifti" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
    assert names(tmp_path / "dicom") == names(tmp_path / "all/dicom")
    for name in names(tmp_path / "dicom"):  # the identifiers, too
        assert (tmp_path / "dicom" / name).read_bytes() == (tmp_path / "all/dicom" / name).read_bytes()
    assert (tmp_path / "new.png").read_bytes() == (tmp_path / "all/overview.png").read_bytes()


def test_maps_become_a_page_without_what_only_the_reconstruction_knew(maps, tmp_path):
    assert main(["convert", str(maps), str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "<h1>Maps of maps.h5</h1>" in text
    assert "Water T1 (ms) where FF &lt; 0.7" in text
    assert "Latency" not in text


def test_a_report_says_how_the_maps_were_made(maps, tmp_path):
    assert main(["convert", str(maps), str(tmp_path / "report.json")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["source"], report["images"], report["maps"]) == (str(maps), 9, ["ff", "t1h2o", "deltaf"])
    assert report["provenance"]["trajectory"] == "embedded"
    assert [row["missing"] for row in report["integrity"] if row["map"] == "ff"] == [0, 1, 2]


def test_a_bids_dataset_has_subjects_with_names_and_units_of_bids(maps, tmp_path):
    dataset = tmp_path / "dataset"
    for subject in ("01", "P2"):
        assert main(["convert", str(maps), str(dataset), "--to", "bids", "--subject", subject]) == 0
    description = json.loads((dataset / "dataset_description.json").read_text())
    assert (description["BIDSVersion"], description["DatasetType"]) == ("1.9.0", "derivative")
    assert description["GeneratedBy"][0]["Name"] == "spokestream"
    volumes = {"anat/sub-{0}_FFmap", "anat/sub-{0}_desc-water_T1map", "fmap/sub-{0}_fieldmap"}
    assert names(dataset) == {"dataset_description.json", ".bidsignore"} | {
        f"sub-{subject}/{volume.format(subject)}.{ending}"
        for subject in ("01", "P2")
        for volume in volumes
        for ending in ("nii.gz", "json")
    }
    t1 = np.asarray(Nifti1Image.from_filename(dataset / "sub-P2/anat/sub-P2_desc-water_T1map.nii.gz").dataobj)
    truth, inside = example_maps(1)
    np.testing.assert_allclose(t1[..., 1].T[inside], truth["t1h2o"][inside] / 1000, atol=0.0005)
    assert {"*_FFmap.*", "*_fieldmap.*", "*_t1h2o_std.*"} <= set((dataset / ".bidsignore").read_text().split())
    assert json.loads((dataset / "sub-01/anat/sub-01_desc-water_T1map.json").read_text())["SkullStripped"] is False


def test_a_dataset_keeps_its_description_and_other_subjects(maps, tmp_path, capsys):
    dataset = tmp_path / "dataset"
    main(["convert", str(maps), str(dataset), "--to", "bids"])
    main(["convert", str(maps), str(dataset), "--to", "bids", "--subject", "02"])
    (dataset / "dataset_description.json").write_text("mine")
    write_map_images(maps, example_images(1, positions=[(0, 0, 0)])[:1], XML)
    main(["convert", str(maps), str(dataset), "--to", "bids"])
    assert (dataset / "dataset_description.json").read_text() == "mine"
    assert {name for name in names(dataset) if "sub-01" in name} == {
        "sub-01/anat/sub-01_FFmap.nii.gz", "sub-01/anat/sub-01_FFmap.json",
    }  # fmt: skip
    assert len([name for name in names(dataset) if "sub-02" in name]) == 6
    assert main(["convert", str(maps), str(dataset), "--to", "bids", "--subject", "a/b"]) == 1
    assert "letters and digits" in capsys.readouterr().err


def test_earlier_slices_do_not_stay_and_maps_h5_does(maps, tmp_path):
    main(["convert", str(maps), str(tmp_path), "--to", "dicom"])
    assert (tmp_path / "ff-mr-0003.dcm").exists()
    write_map_images(maps, example_images(1), XML)
    main(["convert", str(maps), str(tmp_path), "--to", "dicom"])
    main(["convert", str(maps), str(tmp_path), "--to", "nifti"])
    assert not (tmp_path / "ff-mr-0003.dcm").exists()
    assert {"maps.h5", "ff-mr-0001.dcm", "ff.nii.gz"} <= names(tmp_path)


def test_dicom_takes_the_patient_of_a_source(maps, tmp_path):
    main(["convert", str(maps), str(tmp_path / "a"), "--to", "dicom"])
    source = tmp_path / "a/ff-mr-0001.dcm"
    file = pydicom.dcmread(source)
    file.PatientID = "4711"
    file.save_as(source)
    assert main(["convert", str(maps), str(tmp_path / "b"), "--to", "dicom", "--dicom-from", str(source)]) == 0
    assert {pydicom.dcmread(path).PatientID for path in (tmp_path / "b").iterdir()} == {"4711"}


def test_files_of_gadgetrons_client_are_read(maps, tmp_path):
    """It calls the group by the time of day, writes no header, and stores one array of attributes per series."""
    theirs = tmp_path / "out.h5"
    for image in example_images(3):
        with ismrmrd.Dataset(theirs, "2026-11-26 10:00:00", mode="a") as file:
            file.append_image(f"image_{image.image_series_index}", image)
    assert main(["convert", str(theirs), str(tmp_path / "nifti"), "--to", "nifti"]) == 0
    assert main(["convert", str(maps), str(tmp_path / "ours"), "--to", "nifti"]) == 0
    for name in names(tmp_path / "ours"):
        assert (tmp_path / "nifti" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()
    assert main(["convert", str(theirs), str(tmp_path / "dicom"), "--to", "dicom"]) == 0


def test_several_runs_in_a_file_are_refused(tmp_path, capsys):
    for run in ("one", "two"):
        with ismrmrd.Dataset(tmp_path / "out.h5", run, mode="a") as file:
            file.append_image("image_101", example_images()[0])
    assert main(["convert", str(tmp_path / "out.h5"), str(tmp_path / "new.png")]) == 1
    assert "holds the images of 2 runs (one, two)" in capsys.readouterr().err


def test_a_stream_of_maps_becomes_a_file_and_back(maps, tmp_path, monkeypatch):
    assert main(["convert", str(maps), str(tmp_path / "maps.mrd")]) == 0
    assert main(["convert", str(tmp_path / "maps.mrd"), str(tmp_path / "back.h5")]) == 0
    (images, xml), (expected, _) = read_map_file(tmp_path / "back.h5"), read_map_file(maps)
    assert xml == XML
    assert [image.to_bytes() for image in images] == [image.to_bytes() for image in expected]
    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": io.BytesIO((tmp_path / "maps.mrd").read_bytes())})())
    assert main(["convert", "-", str(tmp_path / "ff"), "--to", "nifti"]) == 0
    assert "ff.nii.gz" in names(tmp_path / "ff")


@pytest.fixture
def scan(tmp_path):
    """A scan in HDF5 by ismrmrd's own writer: readouts of unequal size, and waveforms."""
    rng = np.random.default_rng(0)
    with ismrmrd.Dataset(tmp_path / "scan.h5", mode="w") as file:
        file.write_xml_header(XML.encode())
        for i in range(5):
            data = rng.standard_normal((1 + i % 2, 7 + i, 2)).astype(np.float32).view(np.complex64)[..., 0]
            trajectory = rng.standard_normal((7 + i, 2)).astype(np.float32)
            acquisition = ismrmrd.Acquisition.from_array(data, trajectory, scan_counter=i, user_float=(i,) * 8)
            file.append_acquisition(acquisition)
        for i in range(2):
            file.append_waveform(ismrmrd.Waveform.from_array(np.full((3, 4), i, np.uint32), waveform_id=i))
    return tmp_path / "scan.h5"


def test_a_scan_survives_stream_and_file_bit_for_bit(scan, tmp_path, monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.files.hdf5_writing.BLOCK_ROWS", 2)
    assert main(["convert", str(scan), str(tmp_path / "scan.mrd")]) == 0
    assert main(["convert", str(tmp_path / "scan.mrd"), str(tmp_path / "back.h5")]) == 0
    with ismrmrd.Dataset(scan, mode="r") as before, ismrmrd.Dataset(tmp_path / "back.h5", mode="r") as after:
        assert before.read_xml_header() == after.read_xml_header()
        assert before.number_of_acquisitions() == after.number_of_acquisitions() == 5
        for i in range(5):
            assert before.read_acquisition(i).to_bytes() == after.read_acquisition(i).to_bytes()
        assert after.number_of_waveforms() == 2
        for i in range(2):
            assert before.read_waveform(i).to_bytes() == after.read_waveform(i).to_bytes()
    assert [a.to_bytes() for a in open_scan(tmp_path / "scan.mrd")] == [a.to_bytes() for a in open_scan(scan)]


def test_a_stream_is_what_ismrmrds_own_reader_reads(scan, tmp_path):
    from ismrmrd.serialization import ProtocolDeserializer

    xml = '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions><H1resonanceFrequency_Hz>1' \
        "</H1resonanceFrequency_Hz></experimentalConditions></ismrmrdHeader>"  # fmt: skip
    out = io.BytesIO()
    write_stream(out, xml, open_scan(scan))
    header, *items = ProtocolDeserializer(io.BytesIO(out.getvalue())).deserialize()
    assert header.experimentalConditions.H1resonanceFrequency_Hz == 1
    assert [item.to_bytes() for item in items] == [a.to_bytes() for a in open_scan(scan)]


def test_a_recording_becomes_a_scan_file(scan, tmp_path):
    from spokestream.pipelines.node.recording import Recorder

    main(["convert", str(scan), str(tmp_path / "scan.mrd")])
    with Recorder(tmp_path / "a.spokes") as recorder:
        recorder.write(bytes([1, 0]) + b"mrf_t1ff".ljust(1024, b"\0") + (tmp_path / "scan.mrd").read_bytes())
    assert main(["convert", str(tmp_path / "a.spokes"), str(tmp_path / "back.h5")]) == 0
    assert [a.to_bytes() for a in open_scan(tmp_path / "back.h5")] == [a.to_bytes() for a in open_scan(scan)]


def test_images_of_one_series_that_differ_are_refused(tmp_path, capsys):
    small = ismrmrd.Image.from_array(np.zeros((1, 1, 2, 2), np.float32), transpose=False)
    large = ismrmrd.Image.from_array(np.zeros((1, 1, 3, 2), np.float32), transpose=False)
    with (tmp_path / "a.mrd").open("wb") as file:
        write_stream(file, XML, [small, large])
    assert main(["convert", str(tmp_path / "a.mrd"), str(tmp_path / "a.h5")]) == 1
    assert "series 0 differ in size or pixel type" in capsys.readouterr().err
    assert not (tmp_path / "a.h5").exists()


def test_images_of_every_pixel_type_are_kept(tmp_path):
    rng = np.random.default_rng(1)
    images = []
    for series, dtype in enumerate(("u2", "i2", "u4", "i4", "f4", "f8", "c8", "c16")):
        pixels = (rng.standard_normal((1, 1, 4, 3)) * 100).astype(dtype)
        head = ismrmrd.ImageHeader(data_type=series + 1, image_series_index=series, channels=1, matrix_size=(3, 4, 1))
        # ismrmrd's own constructor takes int32 for int64
        images.append(ismrmrd.Image(meta=ismrmrd.Meta({"a": dtype})))
        images[-1]._head, images[-1]._Image__data = head, pixels
    write_items(tmp_path / "a.h5", XML, images)
    with h5py.File(tmp_path / "a.h5") as file:
        for series, image in enumerate(images):
            stored = file[f"dataset/image_{series}/data"][0]
            assert stored.tobytes() == image.data.tobytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["maps.h5", "folder"], "The format of folder is not known by its name; give --to"),
        (["none.h5", "a.png"], "There is no file none.h5"),
        (["scan.h5", "a.png"], "holds a scan and no maps; reconstruct it first"),
        (["maps.h5", "maps.h5"], "The result would replace maps.h5"),
        (["words.h5", "a.png"], "is not an HDF5 file but a text"),
        (["empty.mrd", "a.h5"], "empty.mrd holds neither readouts nor images"),
        (["failed.mrd", "a.png"], "The maker of failed.mrd reports a failure: The coil fell off."),
        (["uneven.h5", "a.png"], "they differ in their numbers of slices (ff 2, t1h2o 1)"),
        (["maps.h5", "a.png", "--dicom-from", "x"], "Only DICOM files have a patient"),
    ],
)
def test_what_cannot_be_converted_is_said_in_a_sentence(maps, scan, arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.h5").write_text("words")
    write_map_images(tmp_path / "uneven.h5", [example_images(2)[i] for i in (0, 3, 1)], XML)
    with (tmp_path / "empty.mrd").open("wb") as file:
        write_stream(file, XML, [])
    with (tmp_path / "failed.mrd").open("wb") as file, MessageStream(file, XML) as stream:
        stream.write(example_images()[0])
        stream.text("ERROR The coil fell off.\n")
    before = names(tmp_path)
    assert main(["convert", *arguments]) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert names(tmp_path) == before


def test_warnings_in_a_stream_are_passed_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with (tmp_path / "maps.mrd").open("wb") as file, MessageStream(file, XML) as stream:
        stream.write(example_images()[0])
        stream.warning("Slice 1: the coil is loose.")
    assert main(["convert", str(tmp_path / "maps.mrd"), str(tmp_path / "maps.h5")]) == 0
    assert "Slice 1: the coil is loose." in capsys.readouterr().err
