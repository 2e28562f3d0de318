"""DICOM files of an oblique scan of three slices, read with pydicom alone."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from map_image_examples import example_images
from nibabel.nifti1 import Nifti1Image
from pydicom.pixels.processing import apply_rescale

from spokestream.errors import FileError, InputError
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.files.dicom import identity
from spokestream.pipelines.files.dicom.identity import read_source, uid
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.map_file import read_map_file
from spokestream.pipelines.files.outputs import ReconstructionReport, map_volumes, write_outputs
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

LPS_TO_RAS = np.array([-1, -1, 1])
UNITS = {"ms": "ms", "1": "1", "rad": "rad", "a.u.": "[arb'U]", "Hz": "Hz"}


def report():
    return ReconstructionReport("scan.h5", "mrf_t1ff", 10, 3, 1.5, 0.2, 100.0)


def written(folder, images=None, **formats):
    write_outputs(folder, images or example_images(2), "<x/>", report(), Formats(dicom=True, **formats))
    return {path.stem: pydicom.dcmread(path) for path in sorted((folder / "dicom").iterdir())}


@pytest.fixture(scope="module")
def oblique(tmp_path_factory):
    """The folder of the maps of a tilted scan of three slices."""
    folder = tmp_path_factory.mktemp("oblique")
    simulate_scan(
        folder / "scan.h5",
        SimulationSettings(sequence="fisp-song-200", matrix=41, coils=2, slices=3, tilt_deg=(20.0, -15.0), seed=2),
    )
    assert main(["replay", str(folder / "scan.h5"), "-o", str(folder / "maps"), "--dicom"]) == 0
    return folder / "maps"


def series(folder, name):
    """The MR images of a map in the order of their instance numbers."""
    files = [pydicom.dcmread(path) for path in (folder / "dicom").glob(f"{name}-mr-*.dcm")]
    return sorted(files, key=lambda file: file.InstanceNumber)


def voxel_positions(file, position):
    """(y, x, 3) centres of the voxels of a slice in LPS mm, by PS3.3, C.7.6.2.1.1."""
    across, down = np.reshape(np.array(file.ImageOrientationPatient, float), (2, 3))
    height, width = (float(x) for x in file.PixelSpacing)
    y, x = np.mgrid[: file.Rows, : file.Columns][..., None]
    return np.array(position, float) + x * width * across + y * height * down


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="needs dcm2niix")
def test_an_independent_reader_finds_the_same_values_at_the_same_places(oblique, tmp_path):
    """Both kinds of DICOM, converted by dcm2niix, beside our NIfTI."""
    command = ["dcm2niix", "-b", "n", "-z", "n", "-f", "%s", "-o", tmp_path, oblique / "dicom"]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("t1", "t2", "phase"):
        ours = Nifti1Image.from_filename(oblique / f"{name}.nii.gz")
        values = np.asarray(ours.dataobj).ravel()
        indices = np.moveaxis(np.indices(ours.shape), 0, -1).reshape(-1, 3)
        places = indices @ ours.affine[:3, :3].T + ours.affine[:3, 3]
        number = series(oblique, name)[0].SeriesNumber
        paths = [path for n in (number, number + 1000) for path in tmp_path.glob(f"{n}*.nii")]
        assert len(paths) == 2
        for path in paths:
            theirs = Nifti1Image.from_filename(path)
            found = np.rint((places - theirs.affine[:3, 3]) @ np.linalg.inv(theirs.affine[:3, :3]).T)
            assert np.abs(found @ theirs.affine[:3, :3].T + theirs.affine[:3, 3] - places).max() < 1e-3  # mm
            read = np.asarray(theirs.dataobj)[tuple(found.astype(int).T)]
            valid = np.isfinite(values)
            np.testing.assert_allclose(read[valid], values[valid], rtol=1e-6, atol=1e-6)
    assert len(list(tmp_path.iterdir())) == 2 * 8


def test_mr_images_have_the_values_and_the_voxels_of_the_nifti_volume(oblique):
    images, _ = read_map_file(oblique / "maps.h5")
    names = list(map_volumes(images))
    assert len(names) == 8
    for name in names:
        nifti = Nifti1Image.from_filename(oblique / f"{name}.nii.gz")
        data = np.asarray(nifti.dataobj)
        assert np.isnan(data).any()
        assert np.isfinite(data).any()
        files = series(oblique, name)
        assert len(files) == 3
        for file in files:
            assert (file.SOPClassUID.name, file.BitsStored, file.PixelRepresentation) == ("MR Image Storage", 16, 0)
            stored = file.pixel_array
            values = np.where(stored == file.PixelPaddingValue, np.nan, apply_rescale(stored, file))
            ras = voxel_positions(file, file.ImagePositionPatient) * LPS_TO_RAS
            ijk = np.einsum(
                "ab,yxb->yxa", np.linalg.inv(nifti.affine), np.concatenate([ras, np.ones_like(ras[..., :1])], -1)
            )
            index = np.rint(ijk[..., :3]).astype(int)
            back = np.einsum("ab,yxb->yxa", nifti.affine[:3, :3], index) + nifti.affine[:3, 3]
            assert np.abs(back - ras).max() < 1e-3  # mm
            expected = data[tuple(np.moveaxis(index, -1, 0))]
            assert np.array_equal(np.isnan(values), np.isnan(expected))
            # whole numbers of maps.h5 stay whole numbers here, so that only float32 and 16-digit decimals round
            np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-3 * float(file.RescaleSlope))


def test_parametric_maps_have_the_values_with_their_unit(oblique):
    for path in (oblique / "dicom").glob("*-pm.dcm"):
        name, file = path.stem.removesuffix("-pm"), pydicom.dcmread(path)
        nifti = Nifti1Image.from_filename(oblique / f"{name}.nii.gz")
        data = np.asarray(nifti.dataobj)
        shared = file.SharedFunctionalGroupsSequence[0]
        mapping = shared.RealWorldValueMappingSequence[0]
        assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
        unit = mapping.MeasurementUnitsCodeSequence[0]
        assert (unit.CodingSchemeDesignator, unit.CodeValue) == ("UCUM", UNITS[QUANTITIES[name].unit])
        geometry = shared.PixelMeasuresSequence[0]
        geometry.Rows, geometry.Columns = file.Rows, file.Columns
        geometry.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        assert file.NumberOfFrames == 3
        found = []
        for frame, values in zip(file.PerFrameFunctionalGroupsSequence, file.pixel_array, strict=True):
            lps = voxel_positions(geometry, frame.PlanePositionSequence[0].ImagePositionPatient)
            k = round((np.linalg.inv(nifti.affine) @ [*(lps[0, 0] * LPS_TO_RAS), 1])[2])  # the order of frames is free
            found.append(k)
            np.testing.assert_array_equal(values, data[..., k].T)
            for y, x in ((0, 0), (5, 37), (40, 40)):
                ras = (nifti.affine @ [x, y, k, 1])[:3]
                assert np.abs(lps[y, x] * LPS_TO_RAS - ras).max() < 1e-3
        assert sorted(found) == [0, 1, 2]
    assert pydicom.dcmread(oblique / "dicom/t1-pm.dcm").SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[
        0
    ].QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "113063"  # fmt: skip


def test_a_scan_is_one_study_with_two_series_for_each_quantity(oblique):
    files = [pydicom.dcmread(path, stop_before_pixels=True) for path in (oblique / "dicom").iterdir()]
    assert len(files) == 8 * (3 + 1)
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert len({file[name].value for file in files}) == 1
    assert len({file.SeriesInstanceUID for file in files}) == len({file.SeriesNumber for file in files}) == 2 * 8
    assert len({file.SOPInstanceUID for file in files}) == len(files)
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{0,38}", file.SOPInstanceUID) for file in files)
    assert {str(file.PatientName) for file in files} == {"Anonymous"}
    assert {file.PatientPosition for file in files if file.Modality == "MR"} == {"HFS"}
    (t1,) = {file.ImageComments for file in files if file.SeriesNumber == 116}
    assert t1 == "T1 [ms] = 1 * stored + -1; stored 0 is no value (the map is valid where: tissue)"


def test_the_same_maps_give_the_same_files_at_any_time(tmp_path):
    first = written(tmp_path / "a")
    again = written(tmp_path / "b")
    for name in first:
        assert (tmp_path / f"a/dicom/{name}.dcm").read_bytes() == (tmp_path / f"b/dicom/{name}.dcm").read_bytes()
    images = example_images(2)
    images[0].data[0, 0, 4, 5] += 1
    other = written(tmp_path / "c", images)
    for name in first:
        same = first[name].SeriesInstanceUID == other[name].SeriesInstanceUID
        assert same == (not name.startswith("ff-")), name
        assert first[name].StudyInstanceUID == other[name].StudyInstanceUID == again[name].StudyInstanceUID


def test_uids_are_those_of_rfc_9562():
    import uuid

    number = int(uid("a", "b").removeprefix("2.25."))
    assert uuid.UUID(int=number).version == 5
    assert uid("a", "b") != uid("ab") != uid("a", "c")


def test_single_precision_is_rounded_to_the_step_in_images_and_kept_in_parametric_maps(tmp_path):
    images = example_images(dtype="float32")
    for image in images:
        if image.meta["spokestream_map"] == "t1h2o":
            image.data[0, 0, 4, 7] = 1234.567
            image.data[0, 0, 4, 8] = 123456.0
    files = written(tmp_path, images)
    mr, pm = files["t1h2o-mr-0001"], files["t1h2o-pm"]
    assert apply_rescale(mr.pixel_array, mr)[4, 7] == 1235
    assert pm.pixel_array[4, 7] == np.float32(1234.567)


def test_voxels_beyond_16_bits_are_counted(tmp_path, caplog):
    images = example_images(dtype="float32")
    for image in images:
        if image.meta["spokestream_map"] == "t1h2o":
            image.data[0, 0, 4, 7:9] = 123456.0
    written(tmp_path, images)
    assert "2 voxels of t1h2o lie outside the 16 bits of DICOM images and were clipped." in caplog.messages
    assert caplog.messages[0] in (tmp_path / "report.json").read_text()


def test_slices_that_form_no_stack_become_parametric_maps_of_their_own(tmp_path):
    files = written(tmp_path, example_images(3, positions=[(0, 0, 0), (6, -8, 0), (18, -24, 0)]))
    numbers = [files[f"ff-pm-{i}"].InstanceNumber for i in (1, 2, 3)]
    assert numbers == [1, 2, 3]
    assert len({files[f"ff-pm-{i}"].SeriesInstanceUID for i in (1, 2, 3)}) == 1


def test_an_empty_scan_is_written(tmp_path):
    images = example_images(dtype="float32")
    for image in images:
        image.data[:] = 0
    files = written(tmp_path, images)
    assert not files["ff-mr-0001"].pixel_array.any()
    assert np.isnan(files["ff-pm"].pixel_array).all()


def test_files_of_an_earlier_scan_do_not_stay(tmp_path):
    written(tmp_path, example_images(3))
    (tmp_path / "dicom/notes-mr-0001.dcm").write_text("mine")
    names = set(written_names(tmp_path, example_images(1), dicom=True))
    assert names == {f"{n}-{kind}.dcm" for n in ("ff", "t1h2o", "deltaf") for kind in ("mr-0001", "pm")} | {
        "notes-mr-0001.dcm"
    }
    assert written_names(tmp_path, example_images(1), dicom=False) == ["notes-mr-0001.dcm"]


def written_names(folder, images, dicom):
    write_outputs(folder, images, "<x/>", report(), Formats(dicom=dicom))
    return sorted(path.name for path in (folder / "dicom").iterdir())


@pytest.fixture
def examination(tmp_path):
    """A folder with an image of an examination, another modality, and a file that is no DICOM."""
    folder = tmp_path / "examination"
    folder.mkdir()
    (folder / "DICOMDIR.txt").write_text("an index")
    for name, modality in (("a.dcm", "SR"), ("b.dcm", "MR")):
        file = pydicom.Dataset()
        file.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        file.PatientName = "Yamada^Tarou=山田^太郎"
        file.PatientID, file.PatientSex, file.PatientBirthDate = "4711", "M", "19700102"
        file.StudyInstanceUID, file.StudyID = "1.2.3", "7"
        file.StudyDate, file.StudyTime, file.AccessionNumber = "20260131", "101112", "A1"
        file.FrameOfReferenceUID, file.PatientPosition = "1.2.3.4", "FFS"
        file.Manufacturer, file.ManufacturerModelName = "MRI Ltd", "Scanner 3000"
        file.SoftwareVersions, file.MagneticFieldStrength = ["one", "two"], "3.0"
        file.Modality, file.SOPClassUID = modality, "1.2.840.10008.5.1.4.1.1.4"
        file.SOPInstanceUID = "1.2.3.5"
        file.file_meta = pydicom.dataset.FileMetaDataset()
        file.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        file.save_as(folder / name, enforce_file_format=True)
    return folder


def test_patient_study_place_and_equipment_are_those_of_the_source(examination, tmp_path):
    files = written(tmp_path / "maps", dicom_from=examination)
    for file in files.values():
        assert (file.PatientID, file.PatientSex, file.PatientBirthDate) == ("4711", "M", "19700102")
        assert (file.StudyInstanceUID, file.FrameOfReferenceUID, file.AccessionNumber) == ("1.2.3", "1.2.3.4", "A1")
        assert file.PatientName.ideographic == "山田^太郎"
        assert (file.Manufacturer, list(file.SoftwareVersions)) == ("MRI Ltd", ["one", "two"])
        assert file.SeriesInstanceUID.startswith("2.25.")
    assert files["ff-mr-0001"].PatientPosition == "FFS"
    assert files["ff-mr-0001"].MagneticFieldStrength == 3
    assert files["ff-pm"].ContentDate == "20260131"
    anonymous = written(tmp_path / "anonymous")
    assert files["ff-pm"].SeriesInstanceUID != anonymous["ff-pm"].SeriesInstanceUID
    (tmp_path / "one").mkdir()
    assert written(tmp_path / "one", dicom_from=examination / "b.dcm")["ff-pm"].PatientID == "4711"


@pytest.mark.parametrize("attribute", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_folder_of_several_examinations_is_refused(examination, attribute):
    other = pydicom.dcmread(examination / "b.dcm")
    setattr(other, attribute, "1.2.9")
    other.save_as(examination / "c.dcm")
    with pytest.raises(
        FileError, match=f"has images of 2 {'studies' if attribute[0] == 'S' else 'frames of reference'}"
    ):
        read_source(examination)


def test_nothing_of_the_subject_gets_into_anonymous_files(tmp_path):
    xml = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><subjectInformation><patientName>Roentgen</patientName>
    <patientID>Wuerzburg-1</patientID></subjectInformation><measurementInformation><patientPosition>FFP</patientPosition>
    <frameOfReferenceUID>1.2.826.4711</frameOfReferenceUID></measurementInformation></ismrmrdHeader>"""
    write_outputs(tmp_path, example_images(1), xml, report(), Formats(dicom=True))
    for path in (tmp_path / "dicom").iterdir():
        assert b"Roentgen" not in path.read_bytes()
        assert b"Wuerzburg" not in path.read_bytes()
        assert b"1.2.826.4711" not in path.read_bytes()
    assert pydicom.dcmread(tmp_path / "dicom/ff-mr-0001.dcm").PatientPosition == "FFP"


def test_a_source_that_is_none_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("no DICOM")
    for path, sentence in ((tmp_path, "has no DICOM image"), (tmp_path / "none", "There is no file or folder")):
        assert main(["replay", str(tmp_path / "scan.h5"), "--dicom-from", str(path)]) == 1
        assert sentence in capsys.readouterr().err


def test_attributes_that_are_no_dicom_are_refused(examination, tmp_path):
    file = pydicom.dcmread(examination / "b.dcm")
    file.PatientSex = "X"
    file.save_as(examination / "b.dcm")
    with pytest.raises(FileError, match="has attributes that are no DICOM"):
        written(tmp_path / "maps", dicom_from=examination)
    assert not (tmp_path / "maps").exists()


def test_a_missing_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(identity, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"install spokestream\[dicom\]\.$"):
        written(tmp_path / "maps")
    assert main(["replay", str(tmp_path / "scan.h5"), "--dicom"]) == 1
    assert "install spokestream[dicom]" in capsys.readouterr().err


def test_maps_without_dicom_import_no_pydicom(tmp_path, monkeypatch):
    for name in ("pydicom", "highdicom"):
        monkeypatch.setitem(sys.modules, name, None)  # an import fails
    write_outputs(tmp_path, example_images(1), "<x/>", report())
