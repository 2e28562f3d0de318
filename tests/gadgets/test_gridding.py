"""Gridding against the exact non-uniform Fourier sum, in both kinds of temporal basis, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from small_scan import MATRIX, complex_normal

from spokestream.errors import ScanError
from spokestream.gadgets import gridding
from spokestream.gadgets.gridding import Gridding
from spokestream.gadgets.imaging.low_rank import echo_times
from spokestream.gadgets.imaging.radial_grid import ONE_SIDED, RadialGrid
from spokestream.gadgets.messages import NOWHERE, SliceEnd, SliceStart, SpokeBlock
from spokestream.gadgets.scan.cancellation import CancelledScanError
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis, window_basis
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

SAMPLES, CENTER, OVERSAMPLING = 38, 17, 2.0
TOLERANCE = 1e-3
KINDS = ("frames", "compressed", "sliding window", "windows")


@pytest.fixture
def bases(sequence):
    atoms = build_dictionary(sequence).atoms
    return {
        "frames": frame_basis(sequence, atoms),
        "compressed": compressed_basis(sequence, atoms),
        "sliding window": window_basis(sequence, 16, 8, atoms),  # 7 images of 10 frames: combined at once
        "windows": window_basis(sequence, 16, 16, atoms),  # 5 images
        "late frames": frame_basis(sequence, atoms).only([8, 9]),  # eight frames before them are in no image
    }


def blocks(rng, sequence, n_coils, weights=None, skip=()):
    """The frames of one slice. With weights (coils,), all coils receive the same spokes, times their weight."""
    m = sequence.spokes_per_frame
    for frame in range(sequence.n_frames):
        indices = np.arange(frame * m, (frame + 1) * m)
        k = radial_spokes(golden_angles(indices), SAMPLES, CENTER, OVERSAMPLING).astype(np.float32)
        if weights is None:
            data = complex_normal(rng, n_coils, m, SAMPLES)
        else:
            data = (weights[:, None, None] * complex_normal(rng, m, SAMPLES)).astype(np.complex64)
        if frame not in skip:
            yield SpokeBlock(data, k, indices, frame, 0)


def density_of_spokes(m):
    """The area of each sample (samples,) if m spokes are evenly distributed over 180 degrees."""
    dk = 1 / OVERSAMPLING
    radius = np.abs(np.arange(SAMPLES) - CENTER) / OVERSAMPLING
    density = np.pi / m * dk * np.maximum(radius, dk / 4)  # pi / m x |k| x dk, k = 0 represents a disc
    density[radius > CENTER * dk] *= ONE_SIDED  # the longer side only: each angle is covered once instead of twice
    return density


def exact(block):
    """Images (coils, y, x): sums over samples of density x data x exp(2 pi i k.r), over the number of pixels."""
    ny, nx = MATRIX
    y, x = (np.arange(n) - n // 2 for n in MATRIX)
    k, density = block.k.astype(float), density_of_spokes(len(block.k))
    along_y = np.exp(2j * np.pi * k[..., 1, None] * y / ny)
    along_x = np.exp(2j * np.pi * k[..., 0, None] * x / nx)
    return np.einsum("cms,msy,msx->cyx", block.data * density, along_y, along_x, optimize=True) / (ny * nx)


def gridded(scan, basis, messages):
    gadget = Gridding(scan, basis, TOLERANCE)
    for message in messages:
        assert list(gadget.feed(message)) == []
    (found,) = gadget.feed(SliceEnd(0, NOWHERE))
    gadget.close()
    return found


@pytest.mark.parametrize("kind", [*KINDS, "late frames"])
def test_images_of_one_coil_are_the_exact_sum(scan, sequence, bases, rng, kind):
    basis, messages = bases[kind], list(blocks(rng, sequence, 1))
    frames = np.stack([exact(block)[0] for block in messages])
    expected = np.einsum("fk,fyx->kyx", basis.weights, frames)
    found = gridded(scan, basis, messages)
    assert found.data.shape == (basis.weights.shape[1], *MATRIX)
    # the adjoint's relative error is up to twice the kernel's tolerance; rounding to single precision is far below
    for image, wanted in zip(found.data, expected, strict=True):
        assert np.linalg.norm(image - wanted) < 2 * TOLERANCE * np.linalg.norm(wanted)


def test_an_image_of_a_window_is_the_mean_of_its_frames(scan, sequence, bases, rng):
    messages = list(blocks(rng, sequence, 1))
    frames = np.stack([exact(block)[0] for block in messages])
    found = gridded(scan, bases["sliding window"], messages)
    for image, first in zip(found.data, (0, 1, 2, 3, 4, 6, 8), strict=True):
        wanted = (frames[first] + frames[first + 1]) / 2
        assert np.linalg.norm(image - wanted) < 2 * TOLERANCE * np.linalg.norm(wanted)


@pytest.mark.parametrize("kind", ["compressed", "sliding window", "late frames"])
def test_frames_are_combined_at_once_where_images_of_all_coils_need_too_much_memory(
    scan, sequence, bases, rng, kind, monkeypatch
):
    weights = np.array([0.5 - 1j, 2.0, -0.3j, 1.1 + 0.2j])
    messages = list(blocks(rng, sequence, 4, weights))
    by_coil, at_once = [], []
    for limit, found in ((1 << 30, by_coil), (0, at_once)):
        monkeypatch.setattr(gridding, "MOST_COIL_BYTES", limit)
        found.append(gridded(scan, bases[kind], messages).data)
    # both have all ten frames for their sensitivities, which differ by rounding alone
    difference = np.linalg.norm(at_once[0] - by_coil[0])
    assert difference < 1e-5 * np.linalg.norm(by_coil[0])


@pytest.mark.parametrize("kind", KINDS)
def test_samples_with_a_density_are_weighted_with_it(scan, sequence, bases, rng, kind):
    basis = bases[kind]
    messages = [replace(block, density=rng.random(block.k.shape[:2], np.float32)) for block in blocks(rng, sequence, 1)]
    ramps = density_of_spokes(8)
    same = [replace(block, data=block.data / ramps * block.density) for block in messages]
    expected = np.einsum("fk,fyx->kyx", basis.weights, np.stack([exact(block)[0] for block in same]))
    found = gridded(scan, basis, messages)
    for image, wanted in zip(found.data, expected, strict=True):
        assert np.linalg.norm(image - wanted) < 2 * TOLERANCE * np.linalg.norm(wanted)


@pytest.mark.parametrize(("reach", "corners"), [(1.0, False), (1.05, False), (1.3, True)])
def test_only_readouts_with_a_density_can_reach_the_corners_of_k_space(scan, sequence, bases, rng, reach, corners):
    spokes = list(blocks(rng, sequence, 1))
    by_spokes = gridded(scan, bases["compressed"], spokes)
    assert (by_spokes.has_corners, by_spokes.straight) == (False, True)
    edge = np.array(MATRIX[::-1], np.float32) / 2
    diagonal = np.linspace(-1, 1, SAMPLES, dtype=np.float32)[:, None] * edge * np.float32(reach / np.sqrt(2))
    k = np.broadcast_to(diagonal, (8, SAMPLES, 2))
    arms = [replace(block, k=k, density=np.ones((8, SAMPLES), np.float32)) for block in spokes]
    by_arms = gridded(scan, bases["compressed"], arms)
    assert (by_arms.has_corners, by_arms.straight) == (corners, False)


@pytest.mark.parametrize("kind", KINDS)
def test_coils_that_receive_the_same_are_combined_to_their_norm(scan, sequence, bases, rng, kind):
    weights = np.array([0.5 - 1j, 2.0, -0.3j, 1.1 + 0.2j])
    messages = list(blocks(rng, sequence, 4, weights))
    single = [replace(block, data=block.data[1:2] / np.float32(2)) for block in messages]
    combined, alone = (np.abs(gridded(scan, bases[kind], these).data) for these in (messages, single))
    difference = np.linalg.norm(combined - np.linalg.norm(weights) * alone)
    assert difference < 1e-5 * np.linalg.norm(combined)  # single precision, summed over 80 spokes of 38 samples


@pytest.mark.parametrize("kind", KINDS)
def test_missing_frames_are_missing_in_the_basis_too(scan, sequence, bases, rng, kind):
    basis = bases[kind]
    found = gridded(scan, basis, blocks(rng, sequence, 2, skip=(3, 7)))
    missing = ~found.basis.weights.any(axis=1)
    assert np.flatnonzero(missing).tolist() == [3, 7]
    np.testing.assert_array_equal(found.basis.weights[~missing], basis.weights[~missing])


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_slice_does_not_depend_on_the_first(scan, sequence, bases, rng, kind):
    first, second = (list(blocks(rng, sequence, 2)) for _ in range(2))
    gadget = Gridding(scan, bases[kind], TOLERANCE)
    for message in (*first, SliceEnd(0, NOWHERE), *second):
        list(gadget.feed(message))
    (after,) = gadget.feed(SliceEnd(1, NOWHERE))
    gadget.close()
    np.testing.assert_array_equal(after.data, gridded(scan, bases[kind], second).data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("announced", [2, 3])  # as many coils as come, and others
def test_slices_that_are_announced_are_the_same(scan, sequence, bases, rng, kind, announced):
    first, second = (list(blocks(rng, sequence, 2)) for _ in range(2))
    gadget = Gridding(scan, bases[kind], TOLERANCE)
    for message in (SliceStart(0, announced), *first, SliceEnd(0, NOWHERE), SliceStart(1, 2), *second):
        list(gadget.feed(message))
    (after,) = gadget.feed(SliceEnd(1, NOWHERE))
    gadget.close()
    np.testing.assert_array_equal(after.data, gridded(scan, bases[kind], second).data)


def test_a_cancelled_scan_computes_no_further_image(scan, sequence, bases, rng, monkeypatch):
    computed = []

    def cancelling(grid, transforms, weights):
        computed.append(transforms)
        scan.cancellation.cancel()
        return weights[0]

    monkeypatch.setattr(RadialGrid, "combined_transforms", cancelling)
    gadget = Gridding(scan, bases["compressed"], TOLERANCE)
    for block in blocks(rng, sequence, 2):
        list(gadget.feed(block))
    with pytest.raises(CancelledScanError):
        list(gadget.feed(SliceEnd(0, NOWHERE)))
    gadget.close()
    assert bases["compressed"].weights.shape[1] > scan.threads
    assert len(computed) <= scan.threads  # those that had begun


def test_a_slice_without_frames_gives_nothing(scan, bases):
    assert list(Gridding(scan, bases["frames"]).feed(SliceEnd(0, NOWHERE))) == []


def test_a_basis_of_another_train_is_refused(scan, bases):
    longer = replace(bases["compressed"], weights=np.vstack([bases["compressed"].weights] * 2))
    with pytest.raises(ScanError, match="made for 20 frames, the sequence has 10"):
        Gridding(scan, longer)


def test_a_number_of_coils_that_changes_within_a_slice_is_refused(scan, sequence, bases, rng):
    gadget = Gridding(scan, bases["compressed"])
    three, two = (next(blocks(rng, sequence, n)) for n in (3, 2))
    list(gadget.feed(three))
    with pytest.raises(ScanError, match="changes to 2 within slice 1"):
        list(gadget.feed(two))
    gadget.close()


def test_more_memory_than_a_slice_may_take_is_refused_before_it_is_taken(scan, sequence, bases, rng):
    large = replace(scan, header=replace(scan.header, recon_matrix=(1024, 1024, 1)))
    gadget = Gridding(large, bases["compressed"])
    coils = (4 << 30) // (13 * 2 * 1024**2) + 1  # the grid of a frame and its transforms, of one thread
    with pytest.raises(ScanError, match=r"need 4 GB; compress to fewer coils, or choose a basis of fewer images"):
        list(gadget.feed(next(blocks(rng, sequence, coils))))
    gadget.close()


def test_an_inversion_that_takes_more_memory_is_refused(scan, sequence, bases, rng):
    large = replace(scan, header=replace(scan.header, recon_matrix=(2048, 2048, 1)))
    basis = bases["compressed"]
    noise = np.ones(len(basis.weights), np.float32)
    gadget = Gridding(large, basis, inversion=echo_times(basis, noise, np.ones((1, len(sequence)))))
    with pytest.raises(ScanError, match=r"\d+ iterative images .* need \d+ GB; use images = adjoint"):
        list(gadget.feed(next(blocks(rng, sequence, 1))))
    gadget.close()


def test_single_spokes_show_where_there_is_tissue_as_windows_of_them_do(rng):
    """Two tissues in an ellipse, seen by one coil: 192 images of a spoke, mostly aliasing, or 190 means of three."""
    n, (ny, nx), samples = 192, (35, 29), 70
    te_ms = np.full(n, 2.0)
    sequence = PulseSequence(
        "short", np.full(n, 5.0), te_ms, te_ms + 2, ti_ms=8.0, recovery_ms=500.0, spokes_per_frame=1
    )
    header = ScanHeader("", (2 * nx, 2 * ny, 1), (2.0 * nx, 2.0 * ny, 8.0), (nx, ny, 1), (1.0 * nx, 1.0 * ny, 8.0))
    scan = ScanContext(header, sequence, threads=1)
    y, x = (np.arange(size) - size // 2 for size in (ny, nx))
    ellipse = np.hypot(y[:, None] / 11, x / 8) < 1
    k = radial_spokes(golden_angles(np.arange(n)), samples, samples // 2, 2.0)
    along_y, along_x = (np.exp(-2j * np.pi * k[..., axis, None] * r / len(r)) for axis, r in ((1, y), (0, x)))
    tissues = ellipse * np.stack([np.broadcast_to(x < 0, ellipse.shape), np.broadcast_to(x >= 0, ellipse.shape)])
    contrast = np.stack([np.linspace(-1, 1, n), np.linspace(-0.5, 1.5, n) ** 2])
    data = np.einsum("fsy,tyx,tf,fsx->fs", along_y, tissues, contrast, along_x, optimize=True).astype(np.complex64)
    spokes = [SpokeBlock(data[None, i : i + 1], k[i : i + 1].astype(np.float32), np.array([i]), i, 0) for i in range(n)]
    found = [gridded(scan, basis, spokes).foreground for basis in (frame_basis(sequence), window_basis(sequence, 3, 1))]
    for mask in found:
        assert mask[ellipse].all()
        assert np.mean(mask[~ellipse]) < 0.03  # pixels at the edge; half of the field of view without sums of images


@pytest.mark.parametrize("kind", ["compressed", "windows"])
def test_a_slice_so_far_is_the_slice_in_which_all_later_frames_are_missing(scan, sequence, bases, rng, kind):
    messages = list(blocks(rng, sequence, 3, np.array([1.0, -0.5j, 0.3])))
    gadget, basis = Gridding(scan, bases[kind], TOLERANCE, partial=True), bases[kind]
    for message in messages[:7]:
        list(gadget.feed(message))
    assert gadget.spokes_so_far == 0  # frames are added by eight
    with pytest.raises(ValueError, match="no spoke"):
        gadget.so_far()
    for message in messages[7:9]:
        list(gadget.feed(message))
    assert gadget.spokes_so_far == 64
    found = gadget.so_far().fingerprints(threads=2, check=lambda: None)
    expected = gridded(scan, basis, messages[:8])
    # another order of the sums in single precision: an FFT, and products with the matrix of a DFT
    np.testing.assert_allclose(found.data, expected.data, atol=1e-5 * np.abs(expected.data).max())
    assert found.foreground.tobytes() == expected.foreground.tobytes()
    np.testing.assert_array_equal(found.basis.weights, basis.without([8, 9]).weights)
    list(gadget.feed(messages[9]))
    (whole,) = gadget.feed(SliceEnd(0, NOWHERE))
    gadget.close()
    assert whole.data.tobytes() == gridded(scan, basis, messages).data.tobytes()  # the copy has changed nothing
    assert gadget.spokes_so_far == 0


@pytest.mark.parametrize("kind", ["compressed", "windows"])
def test_images_without_frames_to_come_are_transformed_before_the_slice_ends(
    scan, sequence, bases, rng, kind, monkeypatch
):
    """With the bits of images that are transformed at its end, as they are where a copy may be asked for."""
    transforms, count = RadialGrid.transforms, 0

    def counted(grid, of_coils):
        nonlocal count
        count += 1
        return transforms(grid, of_coils)

    monkeypatch.setattr(RadialGrid, "transforms", counted)
    basis, found, messages = bases[kind], {}, list(blocks(rng, sequence, 3))
    for partial in (False, True):
        gadget = Gridding(scan, basis, TOLERANCE, partial=partial)
        for message in messages:
            list(gadget.feed(message))
        before = count
        (found[partial],) = gadget.feed(SliceEnd(0, NOWHERE))
        gadget.close()
        unfinished = basis.weights[8:].any(0)  # frames are added by eight
        assert 0 < unfinished.sum() < len(unfinished)
        assert count - before == (len(unfinished) if partial else unfinished.sum())
    assert found[False].data.tobytes() == found[True].data.tobytes()


def test_a_copy_of_a_slice_does_not_change_while_the_slice_grows(scan, sequence, bases, rng):
    messages = [*blocks(rng, sequence, 2), *blocks(rng, sequence, 2)]
    gadget = Gridding(scan, bases["compressed"], TOLERANCE, partial=True)
    for message in messages[:8]:
        list(gadget.feed(message))
    partial = gadget.so_far()
    before = partial.fingerprints(1, lambda: None).data
    for message in messages[8:16]:
        list(gadget.feed(message))
    assert gadget.spokes_so_far == 128
    assert partial.fingerprints(1, lambda: None).data.tobytes() == before.tobytes()
    gadget.close()


def test_the_images_of_a_slice_so_far_stop_when_nobody_waits_for_them(scan, sequence, bases, rng):
    gadget = Gridding(scan, bases["compressed"], TOLERANCE, partial=True)
    for message in list(blocks(rng, sequence, 2))[:8]:
        list(gadget.feed(message))

    def stop():
        raise CancelledScanError

    with pytest.raises(CancelledScanError):
        gadget.so_far().fingerprints(1, stop)
    gadget.close()
