"""Networks on one slice, compared with ONNX Runtime and OpenVINO: python benchmarks/inference.py [--quick].

The network `drone` computes every voxel alone, here those of a head in 25 echo-planar images of 128 x 128 pixels.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from measure import alternately, installed, print_machine, ratio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spokestream.gadgets.network.archive import NetworkArchive
from spokestream.gadgets.network.contract import Contract, Output
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network.tiles import cover
from spokestream.gadgets.workers import workers
from spokestream.models.networks.fold import fold_batch_norm
from spokestream.models.training.exporting import Archived
from spokestream.models.training.recipes import RECIPES
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

PEERS = {"onnx": "onnx", "onnxruntime": "onnxruntime", "openvino": "openvino"}
TILE = 128
PEAK_SHAPES = ((128, 64), (256, 64), (512, 32))
"""Numbers of channels and sides of convolutions; the rate of the fastest one is called the peak of the machine."""
OURS = "ours, float32"
HEAD = "drone"
HEAD_PIXELS = 128


def thighs(matrix: int) -> NDArray[np.bool_]:
    """A foreground of two ellipses, 35,000 of 350 x 350 pixels."""
    y, x = (np.mgrid[:matrix, :matrix] + 0.5) / matrix
    left, right = (np.hypot((y - 0.49) / 0.26, (x - centre) / 0.175) < 1 for centre in (0.28, 0.72))
    return left | right


def head(matrix: int) -> NDArray[np.bool_]:
    """A foreground of one ellipse, 7,524 of 128 x 128 pixels."""
    y, x = (np.mgrid[:matrix, :matrix] + 0.5) / matrix - 0.5
    return np.asarray(np.hypot(y / 0.43, x / 0.3399) < 1)


def random_network(name: str) -> tuple[nn.Module, NetworkArchive]:
    """A network of `models/training/recipes.py` with random weights, in the form that `spokestream export` writes."""
    recipe = RECIPES[name]
    if name == HEAD:
        model, sequence = RELAXATION, load_sequence("epi-cohen-25")
        basis = frame_basis(sequence, RELAXATION.dictionary(sequence).signals())
    else:
        model, sequence = WATER_FAT, load_sequence("t1ff-2d-1400")
        basis = compressed_basis(sequence, build_dictionary(sequence).atoms)
    torch.manual_seed(0)
    outputs = tuple(Output(m.name, m.low, m.high, recipe.with_std) for m in model.parameters)
    normalisation, network = recipe.make(basis, sequence, len(outputs))
    network = fold_batch_norm(network)
    contract = Contract(
        name, sequence, basis, network.channels, network.border, network.step, TILE, outputs, tissue_model=model.name,
    )  # fmt: skip
    return network, NetworkArchive(contract, torch.jit.script(Archived(network, normalisation).eval()), "random")


def convolution_peak(dtype: torch.dtype, threads: int, rounds: int) -> float:
    """The operations per second of the fastest of a few large 3 x 3 convolutions, one on every thread."""
    best = 0.0
    with workers(threads) as pool:
        for channels, side in PEAK_SHAPES:
            conv = nn.Conv2d(channels, channels, 3).to(dtype).to(memory_format=torch.channels_last)
            x = torch.randn(1, channels, side + 2, side + 2, dtype=dtype).to(memory_format=torch.channels_last)

            def run(_: int, conv: nn.Module = conv, x: Tensor = x) -> None:
                with torch.inference_mode():
                    for _ in range(4):
                        conv(x)

            seconds = alternately({"": lambda run=run: list(pool.map(run, range(threads)))}, rounds, threads)[""]
            best = max(best, 4 * threads * 2 * 9 * channels**2 * side**2 / min(seconds))
    return best


def engines(
    network: nn.Module, tiles: list[Tensor], peers: set[str], threads: int, folder: Path
) -> dict[str, Callable[[], NDArray[np.float32]]]:
    """Other engines, which compute the tiles (already cut) one after another and return (tiles, planes, y, x)."""
    runs: dict[str, Callable[[], NDArray[np.float32]]] = {}
    if "onnx" not in peers:
        return runs
    path = folder / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (tiles[0],), str(path), dynamo=False)
    arrays = [tile.numpy() for tile in tiles]
    if "onnxruntime" in peers:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feed = session.get_inputs()[0].name
        runs["onnxruntime, float32"] = lambda: np.concatenate([session.run(None, {feed: x})[0] for x in arrays])
    if "openvino" in peers:
        import openvino

        core = openvino.Core()
        for precision, hint in (("float32", "f32"), ("bfloat16", "bf16")):
            settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
            compiled = core.compile_model(str(path), "CPU", settings)
            runs[f"openvino, {precision}"] = lambda compiled=compiled: np.concatenate(
                [next(iter(compiled(x).values())).copy() for x in arrays]
            )
    return runs


def table(name: str, matrix: int, rounds: int, threads: int, peers: set[str], peaks: dict[str, float]) -> Table:
    network, archive = random_network(name)
    contract, mask = archive.contract, head(matrix) if name == HEAD else thighs(matrix)
    rng = np.random.default_rng(1)
    shape = (len(contract.basis.te_ms), matrix, matrix)
    coefficients = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    tiling = cover(mask, contract.tile, contract.step, contract.border)
    h, w = (side + 2 * contract.border for side in tiling.shape)

    networks = {f"ours, {p}": TiledNetwork(archive, "cpu", p) for p in ("float32", "bfloat16")}
    if torch.cuda.is_available():
        networks |= {f"ours, {p}, CUDA": TiledNetwork(archive, "cuda", p) for p in ("float32", "float16")}
    exact = networks[OURS]
    whole = (slice(-contract.border, matrix + contract.border),) * 2
    canvas = exact._canvas(coefficients, mask, 1.0, whole).contiguous()
    tiles = [canvas[:, :, y : y + h, x : x + w].contiguous() for y, x in tiling.corners]

    runs: dict[str, Callable[[], NDArray[np.float32]]] = {
        key: lambda network=network: network.planes(coefficients, mask, threads) for key, network in networks.items()
    }
    with TemporaryDirectory() as folder:
        if name != HEAD:  # peers would get tiles with background, which the node leaves out
            runs |= engines(network, tiles, peers, threads, Path(folder))
        counter = FlopCounterMode(display=False)
        with counter, torch.inference_mode():
            network(tiles[0])
        operations = counter.get_total_flops() * len(tiles)
        if name == HEAD:
            operations *= mask.sum() / (len(tiles) * h * w)
        seconds = alternately(runs, rounds, threads)
        expected = exact.planes(coefficients, mask, threads)
        wanted = np.stack([expected[:, y : y + tiling.shape[0], x : x + tiling.shape[1]] for y, x in tiling.corners])
        differences = {
            key: np.abs(run() - (expected if key in networks else wanted)).max() for key, run in runs.items()
        }

    result = Table(
        title=f"{name}, random weights: {mask.sum():,} of {matrix} x {matrix} pixels in {len(tiles)} tiles, "
        f"{operations / 1e9:.0f} GFLOP, {rounds} rounds"
    )
    for column in ("engine", "s", "ratio", "GFLOP/s", "of the peak", "difference"):
        result.add_column(column, justify="left" if column == "engine" else "right")
    digits = 4 if name == HEAD else 2
    for key, times in seconds.items():
        rate = operations / np.median(times)
        precision = key.split(", ")[1]
        of_peak = "" if "CUDA" in key else f"{rate / peaks[precision]:.0%}"
        result.add_row(
            key, f"{np.median(times):.{digits}f}", f"{ratio(times, seconds[OURS]):.2f}", f"{rate / 1e9:.0f}", of_peak,
            f"{differences[key]:.1e}",
        )  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small slice and one round, to test that it runs")
    parser.add_argument("--rounds", type=int, default=5, help="how often every engine runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    parser.add_argument("--networks", nargs="+", default=["ours", "balsiger2020", HEAD], choices=list(RECIPES))
    arguments = parser.parse_args()
    console = Console()
    print_machine(console, arguments.threads, ["numpy", "torch"])
    peers = installed(PEERS, console)
    matrix, rounds = (64, 1) if arguments.quick else (350, arguments.rounds)
    peaks = {
        str(dtype).removeprefix("torch."): convolution_peak(dtype, arguments.threads, rounds)
        for dtype in (torch.float32, torch.bfloat16)
    }
    rates = ", ".join(f"{peak / 1e9:.0f} GFLOP/s in {precision}" for precision, peak in peaks.items())
    console.print(f"The fastest large convolution: {rates}.")
    for name in arguments.networks:
        pixels = min(matrix, HEAD_PIXELS) if name == HEAD else matrix
        console.print(table(name, pixels, rounds, arguments.threads, peers, peaks))


if __name__ == "__main__":
    main()
