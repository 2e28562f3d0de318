"""The physics check: exact closed forms, statistics of white noise, and the errors that it finds."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_scan import complex_normal

from spokestream.errors import ScanError
from spokestream.gadgets.messages import Fingerprints, Geometry, ParameterMaps
from spokestream.gadgets.model_fit.own_fit import normal_equations
from spokestream.gadgets.model_fit.residuals import fit_and_residual
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.gadgets.physics_check import FLAGGED_ABOVE, PhysicsCheck
from spokestream.gadgets.quality.image_evidence import ImageEvidence
from spokestream.gadgets.refinement import Refinement
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.simulator.physics.signal import voxel_signal
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis, frame_means, window_basis
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT, WaterFatSignal

SHAPE = (41, 53)
GEOMETRY = Geometry((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (53, 41, 8))
NAMES = ("ff", "t1h2o", "t1fat", "deltaf", "b1")
ARGUMENTS = ("ff", "t1h2o_ms", "t1fat_ms", "deltaf_hz", "b1")


@pytest.fixture
def scan(dictionary):
    ny, nx = SHAPE
    header = ScanHeader("", (2 * nx, 2 * ny, 1), (2.0 * nx, 2.0 * ny, 8.0), (nx, ny, 1), (1.0 * nx, 1.0 * ny, 8.0))
    return ScanContext(header, dictionary.sequence, threads=2, log=logging.getLogger("test"))


@pytest.fixture(autouse=True)
def good_images(monkeypatch):
    """The images of these tests are made voxel by voxel, so that their spectrum is not that of spokes."""
    good = ImageEvidence(contrast=30, ring=0.2, corners=0.01, rim=0.2)
    monkeypatch.setattr("spokestream.gadgets.physics_check.image_evidence", lambda images, foreground: good)


def random_tissue(rng, n):
    return {
        "ff": rng.uniform(0, 1, n), "t1h2o": rng.uniform(400, 2500, n), "t1fat": rng.uniform(200, 475, n),
        "deltaf": rng.uniform(-120, 120, n), "b1": rng.uniform(0.2, 1.4, n),
    }  # fmt: skip


def exact(sequence, tissue, basis):
    """Coefficients (voxels, K) over their noise, computed by the definitions of signal, frame and image."""
    signal = voxel_signal(sequence, **{a: tissue[name] for a, name in zip(ARGUMENTS, NAMES, strict=True)})
    return frames(signal) @ basis.weights / basis.noise


def frames(signal):
    return frame_means(signal.real, 8) + 1j * frame_means(signal.imag, 8)


def tensors(tissue):
    return [torch.tensor(tissue[name], dtype=torch.float32) for name in NAMES]


@pytest.mark.parametrize("make_basis", [compressed_basis, frame_basis])
def test_any_voxel_s_coefficients_are_the_closed_form_s(dictionary, make_basis):
    basis = make_basis(dictionary.sequence, dictionary.atoms)
    tissue = random_tissue(np.random.default_rng(1), 300)
    wanted = exact(dictionary.sequence, tissue, basis)
    found, _ = WaterFatSignal(dictionary.sequence, basis).at(*tensors(tissue))
    error = np.linalg.norm(found.numpy() - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    assert error.max() < 1e-3


def test_derivatives_are_the_difference_quotients_of_the_closed_form(dictionary, basis):
    tissue = random_tissue(np.random.default_rng(2), 200)
    _, derivatives = WaterFatSignal(dictionary.sequence, basis).at(*tensors(tissue))
    per_log = {"t1h2o": tissue["t1h2o"], "t1fat": tissue["t1fat"]}
    for i, (name, step) in enumerate({"ff": 0.01, "t1h2o": 2.0, "t1fat": 1.0, "deltaf": 0.05, "b1": 0.002}.items()):
        ahead, behind = (
            exact(dictionary.sequence, {**tissue, name: tissue[name] + sign * step}, basis) for sign in (1, -1)
        )
        quotient = (ahead - behind) / (2 * step) * np.reshape(per_log.get(name, 1.0), (-1, 1))
        error = np.linalg.norm(derivatives[:, i].numpy() - quotient, axis=1) / np.linalg.norm(quotient, axis=1)
        assert np.median(error) < 1e-3, name
        assert error.max() < 0.02, name


def test_white_noise_is_shared_evenly_between_what_the_maps_could_and_could_not_explain(dictionary, basis):
    rng = np.random.default_rng(3)
    n, k = 20_000, len(basis.te_ms)
    tissue = {name: np.full(n, v) for name, v in zip(NAMES, (0.4, 1200.0, 340.0, 20.0, 0.8), strict=True)}
    signal, derivatives = WaterFatSignal(dictionary.sequence, basis).at(*tensors(tissue))
    sigma = 1e-3 * signal.abs().mean().item()
    noise = sigma * (rng.standard_normal((n, k)) + 1j * rng.standard_normal((n, k)))
    rho = 2.5 * np.exp(0.7j)
    y = (rho * signal + torch.tensor(noise)).to(torch.complex64)
    rho_found, residual, tangents = fit_and_residual(y, signal, derivatives)
    found = normal_equations(rho_found, residual, tangents, Unknowns(WATER_FAT, {}))
    assert rho_found.mean().numpy() == pytest.approx(rho, rel=1e-4)
    # means of chi-square distributions with 5 and 2K - 7 degrees of freedom, to four standard errors
    assert found.variance.mean() / sigma**2 == pytest.approx(1, abs=4 * np.sqrt(2 / (n * (2 * k - 7))))
    assert found.explicable.mean() / (5 * sigma**2) == pytest.approx(1, abs=4 * np.sqrt(2 / (n * 5)))
    assert found.energy.mean() / sigma**2 == pytest.approx(2 * k - 2, rel=4 * np.sqrt(2 / (n * (2 * k - 2))))


def thigh(rng):
    """A disc of muscle at many stages of fatty replacement: true maps and foreground."""
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    foreground = x**2 + y**2 < 0.9
    ripple = rng.uniform(-1, 1, SHAPE)
    maps = {
        "ff": 0.35 + 0.3 * x, "t1h2o": 1250 + 200 * y + 50 * ripple, "t1fat": 340 + 25 * ripple,
        "deltaf": 40 * x - 30 * y, "b1": 0.75 + 0.15 * y,
    }  # fmt: skip
    return {name: np.where(foreground, value, 0).astype(np.float32) for name, value in maps.items()}, foreground


def measured(dictionary, basis, maps, foreground, rng, noise=1.0):
    """Fingerprints with noise of a tenth of the mean frame, and aliasing of a fifth of each frame's signal."""
    tissue = {name: values[foreground].astype(float) for name, values in maps.items()}
    signal = frames(
        voxel_signal(dictionary.sequence, **{a: tissue[name] for a, name in zip(ARGUMENTS, NAMES, strict=True)})
    )
    sigma = noise * np.hypot(0.1 * np.abs(signal).mean(), 0.2 * np.sqrt(np.mean(np.abs(signal) ** 2, axis=0)))
    signal = signal + sigma * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    data = np.zeros((len(basis.te_ms), *SHAPE), np.complex64)
    data[:, foreground] = ((signal * 30 * np.exp(1.1j)) @ basis.weights).T
    return Fingerprints(data, basis, foreground, 2, GEOMETRY)


def checked(scan, dictionary, maps, fingerprints, foreground):
    """The checked maps; the counts of the check are in the scan's ledger."""
    scan.integrity = IntegrityLedger()
    gadget = PhysicsCheck(scan, WaterFatSignal(dictionary.sequence, fingerprints.basis))
    message = ParameterMaps(maps, 2, GEOMETRY, foreground, fingerprints)
    (found,) = gadget.feed(message)
    gadget.close()
    return found


def test_maps_of_a_network_are_compared_with_the_images_of_the_adjoint(scan, dictionary, basis):
    rng = np.random.default_rng(4)
    maps, foreground = thigh(rng)
    adjoint = measured(dictionary, basis, maps, foreground, rng)
    clean = measured(dictionary, basis, maps, foreground, rng, noise=0.1)
    iterative = replace(clean, adjoint=adjoint)
    by_adjoint = {True: adjoint, False: clean}
    for wanted, compared in by_adjoint.items():
        gadget = PhysicsCheck(scan, WaterFatSignal(dictionary.sequence, basis), by_adjoint=wanted)
        (found,) = gadget.feed(ParameterMaps(maps, 2, GEOMETRY, foreground, iterative))
        expected = checked(scan, dictionary, maps, compared, foreground)
        for name in ("misfit", "residual", "pd"):
            np.testing.assert_array_equal(found.maps[name], expected.maps[name])


def test_wrong_maps_are_flagged_and_true_ones_are_not(scan, dictionary, basis, caplog):
    rng = np.random.default_rng(4)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)

    def rate(**changes):
        changed = {**maps, **{name: maps[name] + np.float32(change) for name, change in changes.items()}}
        found = checked(scan, dictionary, changed, fingerprints, foreground)
        counts = scan.integrity.counts(2)
        assert counts["foreground"] == foreground.sum()
        assert counts["flagged"] == np.sum(found.maps["misfit"] > FLAGGED_ABOVE)
        return counts["flagged"] / counts["foreground"]

    assert rate() < 0.01
    assert not caplog.records
    assert rate(ff=0.3) > 0.99
    assert "Slice 3: the maps leave" in caplog.text
    assert rate(t1h2o=300) > 0.75
    assert rate(t1h2o=-300) > 0.75
    assert rate(deltaf=40) > 0.95
    assert rate(b1=0.2) > 0.75


@pytest.mark.parametrize(("error", "contradicted"), [(0.0, False), (0.15, True)])
def test_a_slice_that_the_signal_contradicts_is_corrected_and_the_client_is_told(
    error, contradicted, scan, dictionary, basis, caplog
):
    rng = np.random.default_rng(4)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    closed_form = WaterFatSignal(dictionary.sequence, basis)
    sure = {"ff": 0.01, "t1h2o": 20, "t1fat": 10, "deltaf": 1, "b1": 0.01}
    given = maps | {f"{name}_std": np.full(SHAPE, std, np.float32) for name, std in sure.items()}
    given["b1"] = given["b1"] + np.float32(error)
    gadget = PhysicsCheck(scan, closed_form, correction=Refinement(scan, closed_form))
    (found,) = gadget.feed(ParameterMaps(given, 2, GEOMETRY, foreground, fingerprints, 1.0))
    assert ("Slice 3: the signal contradicts the network's maps in" in caplog.text) is contradicted
    if contradicted:
        left = (found.maps["b1"] - maps["b1"])[foreground]
        assert np.median(np.abs(left)) < error / 2
        assert np.mean(np.abs(left) < 2 * found.maps["b1_std"][foreground]) > 0.9
    else:
        for name, values in given.items():
            assert np.array_equal(found.maps[name], values)


@pytest.mark.parametrize("stride", [8, 24, 48])
def test_windows_that_overlap_are_not_taken_for_independent_measurements(scan, dictionary, stride):
    """An image has the noise of six frames; with a stride of one frame, neighbours have five of them in common."""
    rng = np.random.default_rng(4)
    maps, foreground = thigh(rng)
    basis = window_basis(dictionary.sequence, 48, stride, dictionary.atoms)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    checked(scan, dictionary, maps, fingerprints, foreground)
    assert scan.integrity.counts(2)["flagged"] < 0.01 * foreground.sum()
    checked(scan, dictionary, maps | {"ff": maps["ff"] + np.float32(0.3)}, fingerprints, foreground)
    assert scan.integrity.counts(2)["flagged"] > 0.99 * foreground.sum()


def test_a_single_wrong_voxel_is_found(scan, dictionary, basis):
    rng = np.random.default_rng(5)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    maps["ff"][20, 30] -= 0.3
    found = checked(scan, dictionary, maps, fingerprints, foreground)
    assert found.maps["misfit"][20, 30] > FLAGGED_ABOVE
    assert np.unravel_index(found.maps["misfit"].argmax(), SHAPE) == (20, 30)


def test_proton_density_and_phase_are_those_of_the_signal(scan, dictionary, basis):
    rng = np.random.default_rng(6)
    maps, foreground = thigh(rng)
    found = checked(scan, dictionary, maps, measured(dictionary, basis, maps, foreground, rng), foreground)
    assert np.median(found.maps["pd"][foreground]) == pytest.approx(30, rel=0.02)
    assert np.median(found.maps["phase"][foreground]) == pytest.approx(1.1, abs=0.02)
    for name in ("pd", "phase", "residual", "misfit"):
        assert found.maps[name].dtype == np.float32
        assert not found.maps[name][~foreground].any()
    assert 0 < found.maps["residual"][foreground].min() < found.maps["residual"][foreground].max() < 1


def test_frames_that_are_missing_are_missing_in_the_closed_form_too(scan, dictionary, basis):
    rng = np.random.default_rng(7)
    maps, foreground = thigh(rng)
    lacking = basis.without([0, 1, 2, 77, 130])
    fingerprints = measured(dictionary, lacking, maps, foreground, rng, noise=0)
    assert checked(scan, dictionary, maps, fingerprints, foreground).maps["residual"].max() < 1e-3
    pretended = checked(scan, dictionary, maps, replace(fingerprints, basis=basis), foreground)
    assert np.median(pretended.maps["residual"][foreground]) > 0.02


def test_the_number_of_threads_changes_no_bit(scan, dictionary, basis, monkeypatch):
    monkeypatch.setattr("spokestream.gadgets.physics_check.CHUNK", 100)
    rng = np.random.default_rng(8)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    several = checked(scan, dictionary, maps, fingerprints, foreground)
    scan.threads = 1
    one = checked(scan, dictionary, maps, fingerprints, foreground)
    assert all(np.array_equal(one.maps[name], several.maps[name]) for name in one.maps)


def test_a_voxel_without_a_pool_is_not_flagged_for_its_missing_t1(scan, dictionary, basis):
    rng = np.random.default_rng(9)
    maps, foreground = thigh(rng)
    maps["ff"][foreground] = np.where(rng.random(foreground.sum()) < 0.5, 0.02, 0.98)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    maps["t1fat"][maps["ff"] < 0.05] = 0
    maps["t1h2o"][maps["ff"] > 0.95] = 0
    checked(scan, dictionary, maps, fingerprints, foreground)
    assert scan.integrity.counts(2)["flagged"] < 0.02 * foreground.sum()


def test_nan_and_signals_of_zero_are_handled(scan, dictionary, basis):
    rng = np.random.default_rng(10)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    fingerprints.data[:, 20, 20:25] = 0
    maps["t1h2o"][10:12, 25] = np.nan
    maps["deltaf"][12, 25] = np.inf
    found = checked(scan, dictionary, maps, fingerprints, foreground)
    assert all(np.isfinite(found.maps[name]).all() for name in ("pd", "phase", "residual", "misfit"))
    assert (found.maps["residual"][10:13, 25] == 1).all()
    assert (found.maps["pd"][20, 20:25] == 0).all()
    assert 3 <= scan.integrity.counts(2)["flagged"] < 0.02 * foreground.sum()


def test_a_slice_without_tissue_passes(scan, dictionary, basis):
    empty = np.zeros(SHAPE, bool)
    maps = {name: np.zeros(SHAPE, np.float32) for name in NAMES}
    fingerprints = Fingerprints(np.zeros((len(basis.te_ms), *SHAPE), np.complex64), basis, empty, 2, GEOMETRY)
    checked(scan, dictionary, maps, fingerprints, empty)
    assert scan.integrity.counts(2) == {"flagged": 0, "foreground": 0, "untrusted": 0}


def test_maps_without_fingerprints_or_parameters_are_passed_on_unchanged(scan, dictionary, basis):
    rng = np.random.default_rng(11)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    gadget = PhysicsCheck(scan, WaterFatSignal(dictionary.sequence, basis))
    for message in (
        ParameterMaps(maps, 0, GEOMETRY, foreground),
        ParameterMaps({"ff": maps["ff"]}, 0, GEOMETRY, foreground, fingerprints=fingerprints),
    ):
        assert next(iter(gadget.feed(message))) is message
    matched = {**maps, "pd": np.full(SHAPE, 7, np.float32), "correlation": np.full(SHAPE, 0.9, np.float32)}
    found = checked(scan, dictionary, matched, fingerprints, foreground)
    assert all(found.maps[name] is matched[name] for name in matched)
    assert found.maps.keys() - matched.keys() == {"phase", "residual", "misfit", "trust"}


def test_another_sequence_is_refused(scan, dictionary, basis):
    scan.sequence = replace(dictionary.sequence, recovery_ms=1234.0)
    with pytest.raises(ScanError, match="checked for another sequence"):
        PhysicsCheck(scan, WaterFatSignal(dictionary.sequence, basis))


def test_a_train_that_is_not_ideally_spoiled_is_refused(dictionary, basis):
    with pytest.raises(ScanError, match="ideally spoiled trains; this one's is gradient"):
        WaterFatSignal(replace(dictionary.sequence, spoiling="gradient"), basis)


def test_too_few_images_are_refused(dictionary, basis):
    few = replace(basis, weights=basis.weights[:, :3], te_ms=basis.te_ms[:3], noise=basis.noise[:3])
    with pytest.raises(ScanError, match="3 temporal images leave nothing to check"):
        WaterFatSignal(dictionary.sequence, few)


def test_the_quality_of_a_slice_goes_with_its_maps(scan, dictionary, basis, monkeypatch, caplog):
    rng = np.random.default_rng(12)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    assert checked(scan, dictionary, maps, fingerprints, foreground).quality == "good"
    assert not caplog.records
    echo_elsewhere = ImageEvidence(contrast=30, ring=5, corners=0.01, rim=0.2)
    monkeypatch.setattr("spokestream.gadgets.physics_check.image_evidence", lambda *_: echo_elsewhere)
    found = checked(scan, dictionary, maps, fingerprints, foreground)
    assert found.quality == "k-space is not strongest at its centre"
    assert "Slice 3: the signal is strongest away from the centre of k-space" in caplog.text


def test_iterative_images_are_judged_by_those_of_the_adjoint(scan, dictionary, basis, monkeypatch):
    """Maps that explain the iterative images perfectly, and adjoint images that are noise."""
    rng = np.random.default_rng(12)
    maps, foreground = thigh(rng)
    inverted = measured(dictionary, basis, maps, foreground, rng, noise=0)
    adjoint = replace(inverted, data=complex_normal(rng, *inverted.data.shape).astype(np.complex64))
    seen = []

    def good_and_seen(images, _):
        seen.append(images)
        return ImageEvidence(contrast=30, ring=0.2, corners=0.01, rim=0.2)

    monkeypatch.setattr("spokestream.gadgets.physics_check.image_evidence", good_and_seen)
    assert checked(scan, dictionary, maps, inverted, foreground).quality == "good"
    found = checked(scan, dictionary, maps, replace(inverted, adjoint=adjoint), foreground)
    assert found.quality == "the maps do not explain the signal"
    assert seen[0] is inverted.data
    assert seen[1] is adjoint.data
    expected = checked(scan, dictionary, maps, inverted, foreground)
    for name, values in expected.maps.items():
        np.testing.assert_array_equal(found.maps[name], values, name)


def test_corners_of_k_space_count_only_if_they_were_not_sampled(scan, dictionary, basis, monkeypatch):
    rng = np.random.default_rng(12)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    filled = ImageEvidence(contrast=30, ring=0.2, corners=0.5, rim=0.2)
    monkeypatch.setattr("spokestream.gadgets.physics_check.image_evidence", lambda *_: filled)
    by_spokes = checked(scan, dictionary, maps, fingerprints, foreground)
    assert by_spokes.quality == "spokes reach beyond the image's resolution"
    by_rasters = checked(scan, dictionary, maps, replace(fingerprints, has_corners=True), foreground)
    assert by_rasters.quality == "good"


def test_maps_at_the_limits_of_their_method_are_reported(scan, dictionary, basis, caplog):
    rng = np.random.default_rng(13)
    maps, foreground = thigh(rng)
    fingerprints = measured(dictionary, basis, maps, foreground, rng)
    maps["b1"] = np.where(foreground & (np.arange(SHAPE[1]) < 20), np.float32(1), maps["b1"])
    message = ParameterMaps(maps, 2, GEOMETRY, foreground, fingerprints, limits={"b1": (0.3, 1.0)})
    gadget = PhysicsCheck(scan, WaterFatSignal(dictionary.sequence, basis), most_flagged=1.0)
    (found,) = gadget.feed(message)
    at_limit = (maps["b1"] == 1)[foreground].mean()
    assert f"b1 is at its lowest or highest possible value in {at_limit:.0%} of the voxels" in caplog.text
    assert found.quality == "b1 is at its limits"
