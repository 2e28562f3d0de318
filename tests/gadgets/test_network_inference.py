import logging
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_scan import MATRIX, complex_normal, short_fisp, short_sequence
from torch import nn
from toy_network import OUTPUTS, ToyNetwork, toy_contract, toy_module

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.messages import Fingerprints, Geometry
from spokestream.gadgets.network.archive import NetworkArchive
from spokestream.gadgets.network.device import fastest, possible_precisions, repeat_exactly
from spokestream.gadgets.network.tiled_network import TiledNetwork, out_of_memory
from spokestream.gadgets.network_inference import NetworkInference, physical_maps
from spokestream.gadgets.scan.cancellation import CancelledScanError
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader

GEOMETRY = Geometry(*6 * [(0.0, 0.0, 0.0)])


def toy_archive(**settings):
    contract = toy_contract(**settings)
    return NetworkArchive(contract, toy_module(contract), "0123456789ab")


def slice_of(contract, rng, shape=MATRIX, fraction=0.4):
    coefficients = complex_normal(rng, len(contract.basis.te_ms), *shape)
    foreground = rng.random(shape) < fraction
    foreground[2, -1] = foreground[-1, 1] = True
    return Fingerprints(coefficients, contract.basis, foreground, 3, GEOMETRY)


def whole_image(archive, message):
    """The network over the whole slice at once, straight from torch: no tiles, no freezing, no casts."""
    contract, (ny, nx) = archive.contract, message.foreground.shape
    stacked = np.stack([message.data.real, message.data.imag], axis=1).reshape(-1, ny, nx)
    fed = archive.module.normalise(torch.from_numpy(stacked), torch.from_numpy(message.foreground), 1.0)
    b, s = contract.border, contract.step
    padded = torch.nn.functional.pad(fed, (b, b + -nx % s, b, b + -ny % s))
    with torch.no_grad():
        return archive.module(padded[None])[0, :, :ny, :nx].numpy()


@pytest.mark.parametrize(("step", "tile"), [(1, 8), (1, 5), (1, 64), (8, 8), (8, 16), (4, 12)])
@pytest.mark.parametrize("shape", [MATRIX, (41, 37)])
def test_tile_by_tile_gives_what_the_whole_image_gives(rng, step, tile, shape):
    archive = toy_archive(step=step, tile=tile)
    message = slice_of(archive.contract, rng, shape)
    planes = TiledNetwork(archive, "cpu", "float32").planes(message.data, message.foreground)
    expected = whole_image(archive, message)
    np.testing.assert_allclose(planes[:, message.foreground], expected[:, message.foreground], atol=2e-6)
    assert expected.std() > 0.05  # a constant output would pass any test


class SinglePixels(ToyNetwork):
    """Three 1 x 1 convolutions, so that no pixel needs its neighbours."""

    def __init__(self, channels, planes):
        super().__init__(channels, planes)
        self.border = 0
        self.fine = nn.Sequential(nn.Conv2d(channels, 16, 1), nn.ReLU(), nn.Conv2d(16, planes, 1))
        nn.init.normal_(self.fine[2].weight, std=0.15)


@pytest.mark.parametrize("n_inside", [1, 300, None])
def test_pixels_that_need_no_neighbours_give_what_the_whole_image_gives(rng, n_inside):
    """One tile, or more than one; pixels outside the foreground are 0."""
    contract = toy_contract(border=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = SinglePixels(contract.channels, contract.planes).eval()
    archive = NetworkArchive(contract, torch.jit.script(module), "")
    message = slice_of(contract, rng, (61, 53))
    if n_inside is not None:
        message.foreground[:] = False
        message.foreground.flat[rng.permutation(message.foreground.size)[:n_inside]] = True
    network = TiledNetwork(archive, "cpu", "float32")
    planes = network.planes(message.data, message.foreground, threads=2)
    inside = message.foreground
    expected = whole_image(archive, message)
    np.testing.assert_allclose(planes[:, inside], expected[:, inside], atol=2e-6)
    assert not planes[:, ~inside].any()
    assert expected.std() > 0.05
    assert np.array_equal(network.planes(message.data, message.foreground, threads=1), planes)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_any_number_of_threads_and_any_repetition_give_the_same_bits(rng, precision):
    archive = toy_archive(tile=6)
    message = slice_of(archive.contract, rng)
    network = TiledNetwork(archive, "cpu", precision)
    first = network.planes(message.data, message.foreground, threads=1)
    for threads in (1, 2, 3, 5):
        assert np.array_equal(network.planes(message.data, message.foreground, threads), first)
    again = TiledNetwork(archive, "cpu", precision).planes(message.data, message.foreground, threads=2)
    assert np.array_equal(again, first)


def test_lower_precision_stays_close_and_normalises_in_single(rng):
    archive = toy_archive()
    message = slice_of(archive.contract, rng)
    exact, rounded = (
        TiledNetwork(archive, "cpu", precision).planes(message.data, message.foreground)
        for precision in ("float32", "bfloat16")
    )
    assert 0 < np.abs(exact - rounded).max() < 0.02
    assert archive.module.fine[0].weight.dtype == torch.float32  # the archive is left as it is


class Forgetful:
    """A network with memory for a limited number of patches, on a device that computes several at once."""

    def __init__(self, forward, room, error):
        self.forward, self.room, self.error = forward, room, error
        self.sizes = []

    def __call__(self, patches, *_):
        self.sizes.append(len(patches))
        if len(patches) > self.room:
            raise self.error
        return self.forward(patches)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "The following operation failed in the TorchScript interpreter.\nRuntimeError: CUDA out of memory."
        ),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_when_memory_runs_out_the_batch_is_halved_and_the_slice_goes_on(rng, error):
    archive = toy_archive(tile=4)
    message = slice_of(archive.contract, rng)
    network = TiledNetwork(archive, "cpu", "float32")
    expected = network.planes(message.data, message.foreground)
    network._forward = forgetful = Forgetful(network._forward, 3, error)
    network._stack = 16
    assert np.allclose(network.planes(message.data, message.foreground), expected, atol=1e-6)
    assert forgetful.sizes[:4] == [16, 8, 4, 2]
    assert max(forgetful.sizes[3:]) == 2


def test_a_device_takes_as_many_tiles_at_once_as_it_had_memory_for_at_the_start():
    network = TiledNetwork(toy_archive(), "cpu", "float32")
    network._forward = Forgetful(network._forward, 25, torch.OutOfMemoryError("CUDA out of memory."))
    assert network._most_at_once() == 16
    assert network._forward.sizes == [64, 32, 16]
    network._forward.room = 0
    with pytest.raises(InputError, match="no memory for a single tile"):
        network._most_at_once()


def test_no_room_for_a_single_tile_ends_the_scan_with_a_sentence(rng, scan):
    archive = toy_archive()
    network = TiledNetwork(archive, "cpu", "float32")
    network._forward = Forgetful(network._forward, 0, MemoryError())
    gadget = NetworkInference(scan, network)
    with pytest.raises(ScanError, match="not even one tile"):
        list(gadget.feed(slice_of(archive.contract, rng)))


def test_no_room_for_the_normalised_slice_ends_the_scan_with_a_sentence(rng, scan):
    archive = toy_archive()
    network = TiledNetwork(archive, "cpu", "float32")
    network._normalise = Forgetful(None, 0, torch.OutOfMemoryError("CUDA out of memory."))
    gadget = NetworkInference(scan, network)
    with pytest.raises(ScanError, match="normalised slice does not fit"):
        list(gadget.feed(slice_of(archive.contract, rng)))


def test_other_failures_are_not_taken_for_a_lack_of_memory(rng):
    archive = toy_archive()
    message = slice_of(archive.contract, rng)
    network = TiledNetwork(archive, "cpu", "float32")
    network._forward = Forgetful(network._forward, 0, RuntimeError("a defect"))
    with pytest.raises(RuntimeError, match="a defect"):
        network.planes(message.data, message.foreground)
    assert not out_of_memory(RuntimeError("a defect"))


def test_planes_become_maps_in_units_by_the_contract():
    contract = toy_contract()
    foreground = np.array([[True, True, True, False]])
    planes = np.array([[0.5, 0.6, -0.1, 0.5], [0.25, 0.25, 1.5, 0.5], [0.5, 0.75, 0, 1], [0.01, 0.02, 0.03, 0.04]])
    maps = physical_maps(planes[:, None].astype(np.float32), contract, foreground)
    assert list(maps) == ["ff", "ff_std", "t1h2o", "deltaf"]
    np.testing.assert_allclose(maps["ff"], [[0.5, 0.6, 0, 0]])
    np.testing.assert_allclose(maps["ff_std"], [[0.01, 0.02, 0.03, 0]])
    np.testing.assert_allclose(maps["t1h2o"], [[575, 0, 2300, 0]])  # there is no water T1 above its FF bound
    np.testing.assert_allclose(maps["deltaf"], [[0, 60, -120, 0]])
    assert all(values.dtype == np.float32 for values in maps.values())


def test_logarithmic_planes_become_maps_in_units_by_the_contract():
    """A plane at one half is the geometric mean of the range; a small step there is a step in the logarithm."""
    contract = toy_contract(sequence=short_fisp())
    planes = np.array([[[0.0, 0.5, 1.2]], [[0.25, 0.5, 1.0]], [[0.01, 0.02, 0.0]]], np.float32)
    maps = physical_maps(planes, contract, np.array([[True, True, True]]))
    np.testing.assert_allclose(maps["t1"], [[100, 707.106781, 5000]], rtol=1e-6)
    np.testing.assert_allclose(maps["t2"], [[5 * 500**0.25, 111.803399, 2500]], rtol=1e-6)
    np.testing.assert_allclose(maps["t1_std"], [[0.01 * 391.202301, 0.02 * 707.106781 * np.log(50), 0]], rtol=1e-6)


def test_t1_and_t2_by_a_network_that_is_not_conditioned_come_without_an_efficiency(rng):
    archive = toy_archive(sequence=short_fisp())
    header = ScanHeader("", (1, 1, 1), (1.0, 1.0, 1.0), (1, 1, 1), (1.0, 1.0, 1.0))
    message = slice_of(archive.contract, rng)
    network = TiledNetwork(archive, "cpu", "float32")
    (given,) = NetworkInference(ScanContext(header, short_fisp()), network).feed(message)
    assert given.inversion_efficiency is None
    assert sorted(given.maps) == ["t1", "t1_std", "t2"]
    assert given.limits == {"t1": (100, 5000), "t2": (5, 2500)}


def test_standard_deviations_follow_the_maps_in_the_contracts_order():
    outputs = (OUTPUTS[0], replace(OUTPUTS[2], std=True))
    planes = np.array([0.5, 0.5, 0.1, 0.2], np.float32)[:, None, None]
    maps = physical_maps(planes, toy_contract(outputs=outputs), np.ones((1, 1), bool))
    assert maps["ff_std"] == pytest.approx(0.1)
    assert maps["deltaf_std"] == pytest.approx(48.0)


def test_the_gadget_gives_maps_with_their_fingerprints(rng, scan):
    archive = toy_archive(tile=8)
    calls = []

    @contextmanager
    def exclusive():
        calls.append("taken")
        yield
        calls.append("released")

    gadget = NetworkInference(scan, TiledNetwork(archive, "cpu", "float32"), exclusive)
    message = slice_of(archive.contract, rng)
    (maps,) = gadget.feed(message)
    assert calls == ["taken", "released"]
    assert maps.fingerprints is message
    assert (maps.slice, maps.geometry) == (3, GEOMETRY)
    assert not any(values[~message.foreground].any() for values in maps.maps.values())
    expected = whole_image(archive, message)[0]
    np.testing.assert_allclose(maps.maps["ff"][message.foreground], expected[message.foreground], atol=2e-6)
    assert scan.provenance["network"] == "toy, 0123456789ab, float32 on cpu"


def test_a_slice_without_tissue_gives_empty_maps(rng, scan):
    archive = toy_archive()
    gadget = NetworkInference(scan, TiledNetwork(archive, "cpu", "float32"))
    message = slice_of(archive.contract, rng)
    (maps,) = gadget.feed(replace(message, foreground=np.zeros(MATRIX, bool)))
    assert maps.maps["ff"].shape == MATRIX
    assert not any(values.any() for values in maps.maps.values())


def test_missing_frames_are_estimated_and_the_client_gets_a_warning(rng, scan, caplog):
    archive = toy_archive()
    contract = archive.contract
    scan.log.propagate = True
    gadget = NetworkInference(scan, TiledNetwork(archive, "cpu", "float32"))
    message = slice_of(contract, rng)
    with caplog.at_level(logging.WARNING):
        (maps,) = gadget.feed(replace(message, basis=contract.basis.without([1])))
    assert "Slice 4 lacks 1 of 10 frames" in caplog.text
    (untouched,) = gadget.feed(message)
    assert np.any(maps.maps["ff"] != untouched.maps["ff"])


def test_readouts_that_the_training_did_not_have_are_warned_of(rng, scan, caplog):
    archive = toy_archive()
    scan.log.propagate = True
    gadget = NetworkInference(scan, TiledNetwork(archive, "cpu", "float32"))
    message = slice_of(archive.contract, rng)
    with caplog.at_level(logging.WARNING):
        list(gadget.feed(message))
        assert not caplog.messages
        list(gadget.feed(replace(message, straight=False)))
    assert (
        "Slice 4: the network 'toy' was trained on straight spokes, and these readouts have another shape"
        in caplog.text
    )


def test_a_network_of_atoms_is_for_whole_images_and_spokes_are_warned_of(rng, scan, caplog):
    archive = toy_archive(training={"data": {"grid": "drone", "atoms": 79900}})
    scan.log.propagate = True
    gadget = NetworkInference(scan, TiledNetwork(archive, "cpu", "float32"))
    message = slice_of(archive.contract, rng)
    with caplog.at_level(logging.WARNING):
        list(gadget.feed(replace(message, straight=False, has_corners=True)))
        assert not caplog.messages
        list(gadget.feed(message))
    assert "was trained on signals without aliasing, and these readouts are no whole images" in caplog.text


def test_another_basis_is_refused(rng, scan):
    archive = toy_archive()
    gadget = NetworkInference(scan, TiledNetwork(archive, "cpu", "float32"))
    message = slice_of(archive.contract, rng)
    other = replace(message.basis, weights=message.basis.weights * 1.1)
    with pytest.raises(ScanError, match="another temporal basis"):
        list(gadget.feed(replace(message, basis=other)))


def test_another_sequence_is_refused_at_the_start(scan):
    sequence = short_sequence()
    other = replace(sequence, flip_angle_deg=1.1 * sequence.flip_angle_deg)
    with pytest.raises(ScanError, match=r"another sequence than this scan's: flip_angle_deg of spoke 0"):
        NetworkInference(replace(scan, sequence=other), TiledNetwork(toy_archive(), "cpu", "float32"))


def test_another_field_is_refused_at_the_start(scan):
    network = TiledNetwork(toy_archive(), "cpu", "float32")
    with pytest.raises(ScanError, match=r"made for 2.89 T, not for this scan's 1.5 T"):
        NetworkInference(replace(scan, header=replace(scan.header, field_strength_t=1.5)), network)
    NetworkInference(replace(scan, header=replace(scan.header, field_strength_t=3.0)), network)


def test_devices_and_precisions_are_refused_by_name():
    with pytest.raises(InputError, match="one of auto, cpu, cuda"):
        TiledNetwork(toy_archive(), "tpu")
    with pytest.raises(InputError, match="one of auto, float32"):
        possible_precisions("int8", torch.device("cpu"))


@pytest.mark.parametrize(
    ("seconds", "chosen"), [(0.5, torch.bfloat16), (0.9, torch.float32), (1.47, torch.float32)], ids=str
)
def test_the_precision_is_that_of_the_faster_run(seconds, chosen):
    now = [0.0]

    def takes(duration):
        def run():
            now[0] += duration

        return run

    runs = {torch.float32: takes(1.0), torch.bfloat16: takes(seconds)}
    assert fastest(runs, clock=lambda: now[0]) == chosen


def test_a_pause_of_one_run_does_not_change_the_choice():
    now, calls = [0.0], []

    def slow():
        calls.append(1)
        now[0] += 1.0

    def fast():
        now[0] += 30.0 if len(calls) == 2 else 0.5  # the processor was busy in one round

    assert fastest({torch.float32: slow, torch.bfloat16: fast}, clock=lambda: now[0]) == torch.bfloat16


def test_a_single_precision_is_not_timed():
    assert fastest({torch.float16: lambda: pytest.fail("it was run")}) == torch.float16


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_on_a_machine_without_it():
    with pytest.raises(InputError, match="no CUDA device"):
        TiledNetwork(toy_archive(), "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float16", 1e-2), ("bfloat16", 3e-2)])
def test_a_cuda_device_gives_what_the_cpu_gives(rng, precision, tolerance):
    archive = toy_archive(tile=8)
    message = slice_of(archive.contract, rng, (123, 97))
    expected = TiledNetwork(archive, "cpu", "float32").planes(message.data, message.foreground)
    given = TiledNetwork(archive, "cuda", precision).planes(message.data, message.foreground)
    np.testing.assert_allclose(given[:, message.foreground], expected[:, message.foreground], atol=tolerance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_cuda_device_repeats_its_bits(rng, precision):
    archive = toy_archive(tile=8)
    message = slice_of(archive.contract, rng, (123, 97))
    network = TiledNetwork(archive, "cuda", precision)
    first = network.planes(message.data, message.foreground)
    held = torch.zeros(torch.cuda.mem_get_info()[0] // 2, dtype=torch.uint8, device="cuda")
    assert np.array_equal(network.planes(message.data, message.foreground, threads=3), first)
    del held


def test_cuda_is_set_to_repeat_its_bits_and_to_keep_single_precision():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    with cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True):
        repeat_exactly()
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
        assert not cudnn.allow_tf32
        assert not matmul.allow_tf32


@pytest.mark.parametrize(
    ("pixel_mm", "sentence"),
    [
        (None, ""),
        ((1.0, 1.0), ""),
        ((0.95, 1.5), ""),
        ((0.2, 0.3), "trained for pixels of 0.2 to 0.3 mm, and this scan has pixels of 1 mm: its maps are unreliable"),
        ((1.2, 1.2), "The network 'toy' was trained for pixels of 1.2 mm, and this scan has pixels of 1 mm"),
    ],
)
def test_pixels_that_the_training_did_not_have_are_warned_of(scan, caplog, pixel_mm, sentence):
    NetworkInference(scan, TiledNetwork(toy_archive(pixel_mm=pixel_mm), "cpu", "float32"))
    assert len(caplog.records) == bool(sentence)
    assert sentence in caplog.text


def test_a_cancelled_scan_computes_no_further_tile(rng, scan):
    archive = toy_archive(tile=4)
    network = TiledNetwork(archive, "cpu", "float32")
    forward, tiles = network._forward, []

    def cancelling(patches):
        tiles.append(patches)
        if len(tiles) == 3:
            scan.cancellation.cancel()
        return forward(patches)

    network._forward = cancelling
    with pytest.raises(CancelledScanError):
        list(NetworkInference(scan, network).feed(slice_of(archive.contract, rng)))
    assert len(tiles) == 3
