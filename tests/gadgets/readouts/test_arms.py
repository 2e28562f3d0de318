"""Readouts that are no straight spokes: which are accepted, with which density, and what is refused."""

import logging
from dataclasses import replace

import ismrmrd
import numpy as np
import pytest
from readout_stream import readout, run
from small_scan import complex_normal

from spokestream.errors import ScanError
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.trajectory import epi_raster, golden_angles, radial_spokes, ring_areas, spiral_arms

N, SAMPLES, ARMS = 24, 60, 80


@pytest.fixture
def scan(scan):
    """A scan of square pixels and 24 of them, whose header calls it a spiral."""
    header = ScanHeader("", (48, 48, 1), (480.0, 480.0, 8.0), (N, N, 1), (240.0, 240.0, 8.0), trajectory="spiral")
    return replace(scan, header=header)


@pytest.fixture
def epi_scan(scan):
    return replace(scan, header=replace(scan.header, trajectory="epi", encoded_matrix=(36, N, 1)))


def stream(rng, trajectories, center=0, unit=1 / N):
    return [readout(complex_normal(rng, 2, len(k)), i, center, k * unit) for i, k in enumerate(trajectories)]


def spirals(angles=None):
    return spiral_arms(golden_angles(np.arange(ARMS)) if angles is None else angles, SAMPLES, N, 2.0)


def images(k=None):
    return [epi_raster(N, 36, 1.5) if k is None else k] * ARMS


def test_spiral_arms_have_their_positions_and_the_area_of_their_rings(scan, rng):
    spokes, _ = run(scan, stream(rng, spirals()))
    rings = ring_areas(np.hypot(*spirals()[0].T))
    assert len(spokes) == ARMS
    for spoke, k in zip(spokes, spirals(), strict=True):
        np.testing.assert_allclose(spoke.k, k, atol=1e-5)
        np.testing.assert_allclose(spoke.density, rings, rtol=1e-4)
    assert scan.provenance["trajectory"] == "embedded"
    assert scan.provenance["density"] == "rotations of one arm"
    assert scan.integrity.counts(0) == {}


def test_pixels_that_are_not_square_scale_positions_and_areas(scan, rng):
    header = replace(scan.header, recon_matrix=(N, 18, 1), recon_fov_mm=(240.0, 180.0, 8.0))
    k = spirals() * [1, 18 / 24]  # the same positions in cycles per mm
    spokes, _ = run(replace(scan, header=header), stream(rng, k, unit=1 / np.array([24, 18])))
    np.testing.assert_allclose(spokes[7].k, k[7], atol=1e-5)
    np.testing.assert_allclose(spokes[7].density, ring_areas(np.hypot(*spirals()[0].T)) * 18 / 24, rtol=1e-4)


def test_an_echo_planar_image_has_the_cells_of_its_raster(epi_scan, rng, caplog):
    center = N // 2 * 36 + 18
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(epi_scan, stream(rng, images(), center))
    assert len(spokes) == ARMS
    np.testing.assert_allclose(spokes[3].k, epi_raster(N, 36, 1.5), atol=1e-5)
    np.testing.assert_allclose(spokes[3].density, 1 / 1.5, rtol=1e-5)
    assert not caplog.records[1:]  # the first is that the slice has no position


@pytest.mark.parametrize("angles", [np.zeros(ARMS), golden_angles(np.arange(ARMS))], ids=["repeated", "turned"])
def test_a_spiral_that_covers_k_space_alone_may_be_turned(scan, rng, angles):
    k = spiral_arms(angles, 1000, N, 2.0)  # 500 cycles long; the disc has an area of 452
    spokes, _ = run(scan, stream(rng, k))
    assert len(spokes) == ARMS
    np.testing.assert_allclose(spokes[5].k, k[5], atol=1e-4)
    assert scan.provenance["density"] == "iterated over one readout"
    assert np.median(spokes[5].density) == pytest.approx(0.45, rel=0.1)  # the disc over its samples


def test_images_that_are_turned_are_refused_because_their_corners_would_be_aliased(epi_scan, rng):
    x, y = epi_raster(N, 36, 1.5).T
    turned = [np.stack([x * c - y * s, x * s + y * c], axis=-1) for c, s in ((1, 0), *[(0.6, 0.8)] * (ARMS - 1))]
    with pytest.raises(ScanError, match=r"not that of the first readout: a sample is .* readouts of one shape"):
        run(epi_scan, stream(rng, turned, N // 2 * 36 + 18))


@pytest.mark.parametrize("unit", [1.0, 1000 / 240, 2 * np.pi / N, 2 / N], ids=["FOV", "1/m", "rad", "edge"])
def test_units_are_found_from_the_extent(scan, rng, unit):
    spokes, _ = run(scan, stream(rng, spirals(), unit=unit))
    np.testing.assert_allclose(spokes[5].k, spirals()[5], atol=1e-4)


def test_an_unknown_unit_is_refused_with_the_known_ones(scan, rng):
    with pytest.raises(ScanError, match=r"reaches 16\.8, which fits none of the known units.*0\.5 in cycles per rec"):
        run(scan, stream(rng, spirals(), unit=1.4))


def test_samples_beyond_the_resolution_have_no_weight(scan, rng):
    longer = spirals() * 1.08  # within the tolerance of the documented unit
    spokes, _ = run(scan, stream(rng, longer))
    radius = np.hypot(*longer[0].T)
    beyond = radius > N / 2 + 0.5
    assert 2 < beyond.sum() < 8
    np.testing.assert_allclose(spokes[2].density, np.where(beyond, 0, ring_areas(radius)), rtol=1e-4)


@pytest.mark.parametrize("name", ["goldenangle", "radial", "cartesian", ""])
def test_a_header_that_says_something_else_gives_a_warning(scan, rng, caplog, name):
    scan = replace(scan, header=replace(scan.header, trajectory=name))
    with caplog.at_level(logging.WARNING):
        run(scan, stream(rng, spirals()))
    assert f"trajectory is '{name or 'unknown'}', but the readouts are arms" in caplog.text


def test_bent_spokes_in_a_radial_header_are_accepted_with_a_warning(scan, rng, caplog):
    scan = replace(scan, header=replace(scan.header, trajectory="radial"))
    bend = np.stack([np.zeros(48), 3 * np.sin(np.linspace(-np.pi, np.pi, 48, endpoint=False))], axis=-1)
    first = radial_spokes(0.0, 48, 24, 2.0) + bend
    turned = (first[:, 0] + 1j * first[:, 1]) * np.exp(1j * golden_angles(np.arange(ARMS)))[:, None]
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(scan, stream(rng, np.stack([turned.real, turned.imag], axis=-1), 24))
    assert "but the readouts are arms" in caplog.text
    assert np.pi * 12**2 < spokes[0].density.sum() < np.pi * 12.8**2  # samples at the rim represent a bit more


def test_k0_is_where_the_trajectory_says(scan, rng, caplog):
    with caplog.at_level(logging.WARNING):
        run(scan, stream(rng, spirals(), center=SAMPLES // 2))
    assert caplog.text.count("passes k = 0 at sample 0, which is taken") == 1


@pytest.mark.parametrize(("oversampling", "warned"), [(2.0, False), (1.0, False), (0.8, True)])
def test_samples_that_are_far_apart_give_a_warning(scan, rng, caplog, oversampling, warned):
    with caplog.at_level(logging.WARNING):
        run(scan, stream(rng, spiral_arms(golden_angles(np.arange(ARMS)), SAMPLES, N, oversampling)))
    assert ("are 1.25 cycles per field of view apart; tissue may be folded" in caplog.text) == warned


@pytest.mark.parametrize("index", [0, 30])
@pytest.mark.parametrize("sample", [0, 23, SAMPLES - 1])
@pytest.mark.parametrize("value", [1e9, np.nan, np.inf, 3.0])
def test_an_absurd_coordinate_leaves_its_arm_out(scan, rng, index, sample, value):
    arms = stream(rng, spirals())
    arms[index].traj[sample, 1] = value
    with np.errstate(all="ignore"):
        spokes, _ = run(scan, arms)
    assert {s.index for s in spokes} == set(range(ARMS)) - {index}
    assert scan.integrity.counts(0) == {"damaged_trajectory": 1, "missing": 1}


def test_an_arm_without_trajectory_is_left_out(scan, rng):
    arms = stream(rng, spirals())
    head = arms[9].getHead()
    head.trajectory_dimensions = 0
    arms[9] = ismrmrd.Acquisition(head, arms[9].data)
    run(scan, arms)
    assert scan.integrity.counts(0) == {"damaged_trajectory": 1, "missing": 1}


def test_a_trajectory_that_is_filled_in_partly_is_refused(scan, rng):
    k = spirals().copy()
    k[:, SAMPLES // 2 :] = 0
    with pytest.raises(ScanError, match="stays at one place for many samples"):
        run(scan, stream(rng, k))


def test_readouts_of_many_shapes_are_refused(scan, rng):
    arms = [spiral_arms(angle, SAMPLES, N, 2.0 if i else 1.0) for i, angle in enumerate(golden_angles(np.arange(ARMS)))]
    with pytest.raises(ScanError, match=r"not that of the first readout, turned by some angle.*readouts of one shape"):
        run(scan, stream(rng, arms))


def test_arms_that_leave_out_angles_are_refused(scan, rng):
    with pytest.raises(ScanError, match="no spoke lies in a range of 180 degrees"):
        run(scan, stream(rng, spirals(np.linspace(0, np.pi, ARMS))))


def test_arms_that_do_not_pass_the_centre_are_refused(scan, rng):
    with pytest.raises(ScanError, match=r"does not pass k = 0; the sample that is closest is 2\.65 cycles"):
        run(scan, stream(rng, spirals()[:, 6:]))


def test_images_with_lines_left_out_are_refused_because_they_are_folded(epi_scan, rng):
    k = epi_raster(N, 36, 1.5).reshape(N, 36, 2)[::2].reshape(-1, 2)
    with pytest.raises(ScanError, match="lines of an image are 2 cycles per field of view apart"):
        run(epi_scan, stream(rng, images(k)))


@pytest.mark.parametrize(
    ("left_out", "sentence"), [(3, "errors of the maps are larger"), (6, "at least 60% are needed")]
)
def test_images_that_cover_one_side_of_k_space_only(epi_scan, rng, caplog, left_out, sentence):
    k = epi_raster(N, 36, 1.5).reshape(N, 36, 2)[: N - left_out].reshape(-1, 2)
    try:
        run(epi_scan, stream(rng, images(k), N // 2 * 36 + 18))
    except ScanError as error:
        caplog.records.clear()
        said = str(error)
    else:
        said = caplog.text
    assert sentence in said


def test_kz_is_refused(scan, rng):
    arms = stream(rng, spirals())
    for i, arm in enumerate(arms):
        head = arm.getHead()
        head.trajectory_dimensions = 3
        kz = np.full((SAMPLES, 1), i % 5 / 10, np.float32)
        arms[i] = ismrmrd.Acquisition(head, arm.data, np.hstack([arm.traj, kz]))
    with pytest.raises(ScanError, match="kz of a 3-D scan"):
        run(scan, arms)
