"""Simulated scans on disk: read back by the reference library, field by field, with their truth."""

import json
from dataclasses import replace

import h5py
import ismrmrd
import numpy as np
import pytest
from rich.progress import Progress
from small_scan import TRAIN

from spokestream.errors import FileError, InputError
from spokestream.simulator.acquisition.receive_coils import noise_covariance, receive_array
from spokestream.simulator.phantoms import thigh
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

NOISE = 8


def read(path):
    """Header and acquisitions, through the reference library."""
    with ismrmrd.Dataset(str(path), create_if_needed=False, mode="r") as dataset:
        header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
        return header, [dataset.read_acquisition(i) for i in range(dataset.number_of_acquisitions())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    (folder / "short.toml").write_text(TRAIN)
    return folder


@pytest.fixture(scope="module")
def settings(folder):
    return SimulationSettings(matrix=21, coils=3, slices=2, seed=4, sequence=str(folder / "short.toml"), dwell_us=2.5)


@pytest.fixture(scope="module")
def scan(folder, settings):
    simulate_scan(folder / "scan.h5", settings)
    return read(folder / "scan.h5")


def test_header_describes_scanner_and_geometry(scan):
    header, _ = scan
    assert header.acquisitionSystemInformation.systemFieldStrength_T == 2.89
    assert header.version is None  # the C++ library of ISMRMRD refuses any but its own
    assert header.acquisitionSystemInformation.receiverChannels == 3
    assert header.acquisitionSystemInformation.relativeReceiverNoiseBandwidth == 1.0
    assert header.experimentalConditions.H1resonanceFrequency_Hz == 123_200_000
    (encoding,) = header.encoding
    assert encoding.trajectory.value == "goldenangle"
    spaces = [(s.matrixSize, s.fieldOfView_mm) for s in (encoding.encodedSpace, encoding.reconSpace)]
    assert [(m.x, m.y, m.z) for m, _ in spaces] == [(42, 42, 1), (21, 21, 1)]
    assert [(f.x, f.y, f.z) for _, f in spaces] == [(700, 700, 8), (350, 350, 8)]
    limits = encoding.encodingLimits
    assert (limits.kspace_encoding_step_1.minimum, limits.kspace_encoding_step_1.maximum) == (0, 39)
    assert (limits.slice.minimum, limits.slice.maximum) == (0, 1)


def test_header_holds_the_trains_spoke_by_spoke(scan, settings):
    header, _ = scan
    sequence = load_sequence(settings.sequence)
    parameters = header.sequenceParameters
    for told, train in (("TE", "te_ms"), ("TR", "tr_ms"), ("flipAngle_deg", "flip_angle_deg")):
        assert getattr(parameters, told) == getattr(sequence, train).tolist()
    assert parameters.TI == [8.32]
    user = header.userParameters
    assert {p.name: p.value for p in user.userParameterDouble} == {
        "mrf_recovery_ms": 500.0, "mrf_repetitions": 2.0, "mrf_spokes_per_frame": 8.0,
    }  # fmt: skip
    # the name of a file is no preset
    assert {p.name: p.value for p in user.userParameterString} == {"mrf_spoiling": "ideal", "mrf_inversion": "true"}


def test_acquisitions_are_numbered_flagged_and_placed(scan):
    _, acquisitions = scan
    assert len(acquisitions) == NOISE + 2 * 40
    assert [a.scan_counter for a in acquisitions] == list(range(NOISE + 80))
    noise, spokes = acquisitions[:NOISE], acquisitions[NOISE:]
    assert all(a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT) for a in noise)
    assert not any(a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT) for a in spokes)
    assert [a.idx.kspace_encode_step_1 for a in spokes] == [*range(40)] * 2
    assert [a.idx.slice for a in spokes] == [0] * 40 + [1] * 40
    for flag, places in (
        (ismrmrd.ACQ_FIRST_IN_SLICE, [0, 40]),
        (ismrmrd.ACQ_LAST_IN_SLICE, [39, 79]),
        (ismrmrd.ACQ_LAST_IN_MEASUREMENT, [79]),
    ):
        assert [i for i, a in enumerate(spokes) if a.is_flag_set(flag)] == places
    assert [a.position[2] for a in (spokes[0], spokes[79])] == [-10, 10]
    for a in acquisitions:
        assert a.data.shape == (3, 42)
        assert (a.active_channels, a.available_channels, a.channel_mask[0]) == (3, 3, 0b111)
        assert a.sample_time_us == 2.5
        directions = np.array([a.read_dir[:], a.phase_dir[:], a.slice_dir[:]])
        assert np.linalg.det(directions) == pytest.approx(1)
        assert a.patient_table_position[2] == -850


def test_time_stamps_count_ticks_of_2_5_ms(scan, settings):
    _, acquisitions = scan
    sequence = load_sequence(settings.sequence)
    stamp = np.array([a.acquisition_time_stamp for a in acquisitions])
    assert np.all(np.diff(stamp) >= 0)
    first, second = stamp[NOISE : NOISE + 40], stamp[NOISE + 40 :]
    np.testing.assert_allclose(np.diff(first[[0, 20]]), 20 * 3.52 / 2.5, atol=1)
    np.testing.assert_allclose(second - first, sequence.duration_ms / 2.5, atol=1)


def test_embedded_trajectory_reaches_half_a_cycle_per_pixel(scan):
    _, acquisitions = scan
    assert all(a.trajectory_dimensions == 0 for a in acquisitions[:NOISE])
    for a in acquisitions[NOISE:]:
        angle = np.deg2rad(111.246117975) * a.idx.kspace_encode_step_1
        radius = (np.arange(42) - a.center_sample) / 42
        np.testing.assert_allclose(a.traj, np.outer(radius, [np.cos(angle), np.sin(angle)]), atol=1e-6)
    assert np.abs(acquisitions[NOISE].traj).max() == 0.5


@pytest.mark.parametrize("trajectory", ["angle", "none"])
def test_other_ways_to_tell_the_trajectory(folder, settings, trajectory):
    path = folder / f"{trajectory}.h5"
    simulate_scan(path, SimulationSettings(**(vars(settings) | {"trajectory": trajectory, "slices": 1})))
    _, acquisitions = read(path)
    assert all(a.trajectory_dimensions == 0 and a.traj.size == 0 for a in acquisitions)
    told = np.array([a.user_float[0] for a in acquisitions[NOISE:]])
    expected = np.deg2rad(111.246117975) * np.arange(40) % (2 * np.pi) if trajectory == "angle" else np.zeros(40)
    np.testing.assert_allclose(told, expected, atol=1e-6)


def test_noise_readouts_and_spokes_carry_the_same_noise(folder, settings):
    """The spokes less those of a noise-free scan are noise of the covariance of the noise readouts."""
    changes = {"matrix": 41, "slices": 1}
    noisy, silent = folder / "noisy.h5", folder / "silent.h5"
    simulate_scan(noisy, SimulationSettings(**(vars(settings) | changes)))
    simulate_scan(silent, SimulationSettings(**(vars(settings) | changes | {"noise": 0.0})))
    with_noise, without = (read(path)[1] for path in (noisy, silent))
    assert len(without) == 40  # nothing to measure
    spokes = np.hstack([a.data - b.data for a, b in zip(with_noise[NOISE:], without, strict=True)])
    readouts = np.hstack([a.data for a in with_noise[:NOISE]])
    whiten = np.linalg.inv(np.linalg.cholesky(noise_covariance(3, settings.seed)))
    white = [whiten @ noise for noise in (spokes, readouts)]
    assert np.std(white[0]) == pytest.approx(np.std(white[1]), rel=0.05)
    for noise in white:
        covariance = noise @ noise.conj().T / noise.shape[1] / np.var(noise)
        np.testing.assert_allclose(covariance, np.eye(3), atol=0.12)


def test_kspace_of_the_file_is_the_image_of_the_truth(folder, settings):
    """The sample at k = 0 of every spoke is the plain sum over the truth maps, seen by an independent model."""
    path = folder / "clean.h5"
    simulate_scan(path, SimulationSettings(**(vars(settings) | {"noise": 0.0})))
    _, acquisitions = read(path)
    with h5py.File(truth_path(path)) as truth:
        maps = {name: truth[name][1] for name in ("pd", "ff", "t1h2o", "t2h2o", "t1fat", "deltaf", "b1")}
    tissue = maps["pd"] > 0
    values = {name: values[tissue] for name, values in maps.items()}
    sequence, ff = load_sequence(settings.sequence), values["ff"][:, None]
    water = fingerprint(sequence, values["t1h2o"], values["t2h2o"], b1=values["b1"], engine="epg")
    fat = fingerprint(sequence, values["t1fat"], 80.0, b1=values["b1"], engine="epg")
    signal = (1 - ff) * water + ff * fat * FatModel().phasor(sequence.te_ms)
    signal = signal * np.exp(-2j * np.pi * 1e-3 * values["deltaf"][:, None] * sequence.te_ms)
    coils = receive_array(3, 21, 350.0, settings.seed)[:, tissue]
    expected = coils @ (values["pd"][:, None] * signal)
    measured = np.stack([a.data[:, a.center_sample] for a in acquisitions[40:]], axis=1)
    np.testing.assert_allclose(measured, expected, atol=2e-4 * np.abs(expected).max())


def test_truth_lies_beside_the_scan(folder, settings, scan):
    assert truth_path(folder / "scan.h5") == folder / "scan.truth.h5"
    with h5py.File(folder / "scan.truth.h5") as truth:
        assert {name: truth[name].attrs["unit"] for name in truth if name != "label"} == {
            "pd": "1", "ff": "1", "t1h2o": "ms", "t2h2o": "ms", "t1fat": "ms", "deltaf": "Hz", "b1": "1",
            "purity": "1",
        }  # fmt: skip
        phantom = thigh(21, 350.0, seed=4, level=0.1)  # 10 mm towards the hip
        for name in ("ff", "t1h2o", "label", "purity"):
            np.testing.assert_array_equal(truth[name][1], getattr(phantom, name))
        assert json.loads(truth["label"].attrs["names"]) == list(phantom.label_names)
        assert truth["ff"].shape == (2, 21, 21)
        assert truth["ff"].dtype == np.float32
        assert truth.attrs["seed"] == 4
        assert truth.attrs["noise"] == 0.1
        assert truth.attrs["fov_mm"] == 350.0
        assert truth.attrs["sequence"] == settings.sequence


def test_the_same_settings_give_the_same_scan(folder, settings, scan):
    simulate_scan(folder / "again.h5", settings)
    for a, b in zip(scan[1], read(folder / "again.h5")[1], strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_a_preset_is_named_in_the_header_and_progress_ends_at_its_total(folder):
    with Progress(disable=True) as progress:
        simulate_scan(folder / "preset.h5", SimulationSettings(matrix=8, coils=1), progress)
        (task,) = progress.tasks
        assert task.completed == pytest.approx(task.total)
    with ismrmrd.Dataset(str(folder / "preset.h5"), create_if_needed=False, mode="r") as dataset:
        header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
        assert dataset.number_of_acquisitions() == NOISE + 1400
    named = {p.name: p.value for p in header.userParameters.userParameterString}
    assert named["mrf_sequence"] == "t1ff-2d-1400"


def test_pixels_are_of_1_mm_in_the_field_of_view_of_the_anatomy_if_nobody_says_otherwise(folder):
    """A readout of 350 pixels of a head would not fit the echo times, but one of 256 does."""
    head = {"anatomy": "brain", "sequence": "fisp-fang-2304", "arms": "spiral"}
    assert SimulationSettings(**head).protocol().matrix == SimulationSettings(**head).protocol().fov_mm == 256
    assert SimulationSettings().protocol().matrix == 350
    assert SimulationSettings(matrix=97).protocol().matrix == 97
    path = folder / "spheres.h5"
    simulate_scan(path, SimulationSettings(anatomy="nist", coils=1, sequence=str(folder / "short.toml")))
    with h5py.File(truth_path(path)) as truth:
        assert truth["ff"].shape == (1, 220, 220)
        assert truth.attrs["matrix"] == truth.attrs["fov_mm"] == 220


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matrix": 4}, "setting matrix must be a whole number from 8"),
        ({"matrix": 31.5}, "whole number"),
        ({"anatomy": "knee"}, "anatomy must be one of thigh, calf"),
        ({"population": "martians"}, "population must be one of patients"),
        ({"delays": (0.3,)}, "delays must be 2 numbers from -5 to 5 samples"),
        ({"delays": (0.3, 60.0)}, "delays must be 2 numbers"),
        ({"delays": (0.3, float("nan"))}, "delays must be 2 numbers"),
        ({"missing": 0.95}, "missing must be a number from 0 to 0.9"),
        ({"inversion_efficiency": 1.2}, "inversion_efficiency must be a number from -1 to 1"),
        ({"arms": "spiral", "trajectory": "none"}, "need an embedded trajectory"),
        ({"arms": "epi", "center_shift": 2}, "their echo cannot be shifted"),
        ({"coils": 0}, "setting coils"),
        ({"slices": 0}, "setting slices"),
        ({"seed": -1}, "setting seed"),
        ({"fov_mm": 0.0}, "fov_mm must be a number from 1 to 1000 mm, not 0"),
        ({"oversampling": 0}, "setting oversampling"),
        ({"noise": -0.1}, "noise must be a number from 0"),
        ({"noise": float("nan")}, "noise must be a number from 0"),
        ({"dwell_us": 0.0}, "dwell_us must be a number from 0.01"),
        ({"trajectory": "spiral"}, "one of embedded, angle, none, not 'spiral'"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(change, words):
    with pytest.raises(InputError, match=words) as refusal:
        SimulationSettings(**change)
    assert str(refusal.value).count(". ") == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sequence": "nope"}, "no sequence preset"),
        ({"center_shift": 360}, "echo cannot come 360 samples"),
        ({"dwell_us": 5.0}, "does not fit the echo times"),
        ({"matrix": 2048, "coils": 64}, r"2\.7 GB of k-space"),
        ({"arms": "epi", "matrix": 200}, "holds 65535 samples at most, and this one would have 80000"),
    ],
)
def test_what_cannot_be_scanned_is_refused_before_a_file_is_made(tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        simulate_scan(tmp_path / "scan.h5", SimulationSettings(**change))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="There is no folder"):
        simulate_scan(tmp_path / "gone" / "scan.h5", SimulationSettings(matrix=8))


def test_lost_and_repeated_readouts_leave_gaps_and_doubles_in_the_counter(folder, settings):
    path = folder / "lossy.h5"
    simulate_scan(path, replace(settings, missing=0.2, duplicated=0.2, noise=0.0))
    counter = np.array([a.scan_counter for a in read(path)[1]])
    times = np.bincount(counter, minlength=80)
    assert len(times) == 80
    assert set(np.unique(times)) == {0, 1, 2}
    assert 4 < np.count_nonzero(times == 0) < 30
    assert np.all(np.diff(counter) >= 0)


def test_delays_move_the_samples_but_not_what_the_file_says_of_them(folder, settings):
    still, late = folder / "still.h5", folder / "late.h5"
    changes = {"noise": 0.0, "slices": 1, "matrix": 41}
    simulate_scan(still, replace(settings, **changes))
    simulate_scan(late, replace(settings, **changes, delays=(1.0, 1.0)))
    for a, b in zip(read(still)[1], read(late)[1], strict=True):
        np.testing.assert_array_equal(a.traj, b.traj)
        # a whole sample late: the same values, one further on; off-resonance adds the phase of 2.5 us
        np.testing.assert_allclose(np.abs(b.data[:, 1:]), np.abs(a.data[:, :-1]), atol=0.02 * np.abs(a.data).max())


def test_drift_and_spikes_reach_the_file(folder, settings):
    calm, wild = folder / "calm.h5", folder / "wild.h5"
    changes = {"noise": 0.0, "slices": 2, "drift_hz": 0.0}
    simulate_scan(calm, replace(settings, **changes))
    simulate_scan(wild, replace(settings, **changes | {"drift_hz": 60.0}))
    center = 21
    turned = [
        np.angle(b.data[0, center] / a.data[0, center]) for a, b in zip(read(calm)[1], read(wild)[1], strict=True)
    ]
    sequence = load_sequence(settings.sequence)
    end_of_train = sequence.duration_ms + sequence.ti_ms + np.sum(sequence.tr_ms)
    offset = 60 * end_of_train / (2 * sequence.duration_ms)
    assert turned[-1] == pytest.approx(-2 * np.pi * offset * sequence.te_ms[-1] * 1e-3, abs=1e-3)
    simulate_scan(wild, replace(settings, **changes, corrupted=0.3))
    spiked = [not np.allclose(a.data, b.data) for a, b in zip(read(calm)[1], read(wild)[1], strict=True)]
    assert np.mean(spiked) == pytest.approx(0.3, abs=0.15)


def test_oblique_slices_are_stacked_along_their_normal(folder, settings):
    path = folder / "oblique.h5"
    simulate_scan(path, replace(settings, tilt_deg=(20.0, -10.0), slice_spacing_mm=12.0))
    _, acquisitions = read(path)
    first, last = acquisitions[NOISE], acquisitions[-1]
    read_dir, phase_dir, slice_dir = (np.array(d[:]) for d in (first.read_dir, first.phase_dir, first.slice_dir))
    np.testing.assert_allclose(np.cross(read_dir, phase_dir), slice_dir, atol=1e-6)
    assert phase_dir[0] == pytest.approx(0)  # the first tilt is about the left-right axis
    assert np.rad2deg(np.arctan2(phase_dir[2], phase_dir[1])) == pytest.approx(20)
    np.testing.assert_allclose(np.array(last.position[:]) - np.array(first.position[:]), 12 * slice_dir, atol=1e-4)


def test_a_patient_who_moves_is_shifted_in_the_truth(folder, settings):
    still, moving = folder / "lying.h5", folder / "moving.h5"
    simulate_scan(still, replace(settings, noise=0.0, slices=2))
    simulate_scan(moving, replace(settings, noise=0.0, slices=2, motion_mm=50.0))
    with h5py.File(truth_path(still)) as a, h5py.File(truth_path(moving)) as b:
        np.testing.assert_array_equal(a["ff"][0], b["ff"][0])
        assert not np.array_equal(a["ff"][1], b["ff"][1])


def test_spirals_start_at_the_centre(folder, settings):
    path = folder / "spiral.h5"
    simulate_scan(path, replace(settings, arms="spiral", slices=1, noise=0.0))
    header, acquisitions = read(path)
    assert header.encoding[0].trajectory.value == "spiral"
    assert all(a.center_sample == 0 and not a.traj[0].any() for a in acquisitions)
    assert np.linalg.norm(acquisitions[3].traj[-1]) == pytest.approx(0.5)


def test_echo_planar_images_pass_k0_at_the_echo(folder, settings):
    path, radial = folder / "epi.h5", folder / "spokes.h5"
    small = replace(settings, matrix=9, slices=1, oversampling=1.34, dwell_us=1.0, noise=0.0)
    simulate_scan(path, replace(small, arms="epi"))
    simulate_scan(radial, small)
    header, acquisitions = read(path)
    (encoding,) = header.encoding
    assert encoding.trajectory.value == "epi"
    encoded, recon = encoding.encodedSpace, encoding.reconSpace
    assert [(m.x, m.y) for m in (encoded.matrixSize, recon.matrixSize)] == [(12, 9), (9, 9)]
    assert (encoded.fieldOfView_mm.x, encoded.fieldOfView_mm.y) == pytest.approx((350 * 12 / 9, 350))
    assert len(acquisitions) == 40
    for a in acquisitions:
        assert a.data.shape == (3, 108)
        assert np.flatnonzero((a.traj == 0).all(1)).tolist() == [a.center_sample]
    # k = 0 at the echo time is the same signal, wherever the readout goes before and after
    for image, spoke in zip(acquisitions, read(radial)[1], strict=True):
        middle = spoke.data[:, spoke.center_sample]
        assert np.linalg.norm(image.data[:, image.center_sample] - middle) < 1e-3 * np.linalg.norm(middle)
