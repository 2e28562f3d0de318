"""A network that is ready to run on a device and in a precision, tile by tile."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.errors import InputError
from spokestream.gadgets.network.archive import NetworkArchive
from spokestream.gadgets.network.device import choose_device, fastest, possible_precisions, repeat_exactly
from spokestream.gadgets.network.network_input import Crop, crop_around, normalised_crop
from spokestream.gadgets.network.tiles import Tiling, column_of_tiles, cover
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.gadgets.workers import KeptWorkers, workers

__all__ = ["TiledNetwork", "out_of_memory"]

Corner = tuple[int, int]

STACKS = (64, 32, 16, 8, 4, 2, 1)
"""Numbers of tiles that a CUDA device may compute at once; larger numbers do not use any device better."""
TIMED_TILE = 32
"""Least side of the tile by which the faster precision is found. A whole tile of the network of Balsiger et al. would
delay the start by 10 seconds."""
OUT_OF_MEMORY = (
    "out of memory", "not enough memory", "can't allocate memory", "STATUS_ALLOC_FAILED", "unable to find an engine",
)  # fmt: skip
"""Messages of RuntimeErrors that torch raises if memory runs out. The last one means that cuDNN had no memory for any
of its algorithms."""


class TiledNetwork:
    """Runs the network of an archive, one slice at a time.

    The same slice gives the same bits. On the CPU every tile is computed alone and on one thread, for any number of
    threads. A CUDA device computes as many tiles at once as it had memory for at the start. If it has less memory
    later, it computes fewer at once; then its libraries may compute in another order, and bits may change.

    Args:
        archive: the archive, which is not changed.
        device: one of `DEVICES`.
        precision: one of `PRECISIONS`; `precision` is then the number type that was chosen.

    Raises InputError for a device that the machine does not have or that has no memory for one tile, and for an unknown
    precision.

    """

    def __init__(self, archive: NetworkArchive, device: str = "auto", precision: str = "auto") -> None:
        self.contract = archive.contract
        self.digest = archive.digest
        self.device = choose_device(device)
        possible = possible_precisions(precision, self.device)
        no_room = InputError(f"The {self.device.type} device has no memory for the network.")
        with torch.no_grad(), _when_out_of_memory(no_room):
            # normalisation needs sums over the slice, for which a lower precision is not sufficient
            self._normalise = copy.deepcopy(archive.module).to(self.device).normalise
            forwards = {p: _frozen(archive.module, self.device, p) for p in possible}
            self.precision = fastest({p: self._tile_run(forward, p) for p, forward in forwards.items()})
            self._forward = forwards[self.precision]
        self._workers = KeptWorkers()
        self._stack = 0
        if self.device.type == "cuda":
            repeat_exactly()
            self._stack = self._most_at_once()

    def planes(
        self,
        coefficients: NDArray[np.complex64],
        foreground: NDArray[np.bool_],
        threads: int = 1,
        efficiency: float = 1.0,
        cancellation: Cancellation | None = None,
    ) -> NDArray[np.float32]:
        """The output of the network for a slice, (planes, y, x).

        Args:
            coefficients: (K, y, x) in the contract's basis.
            foreground: (y, x) mask.
            threads: CPU threads.
            efficiency: inversion efficiency.
            cancellation: the sign to stop, which is looked at before every tile or batch of tiles.

        Raises MemoryError if there is no memory for the slice or for a single tile, and CancelledScanError.

        """
        c, sign = self.contract, cancellation or Cancellation()
        # a network without a border computes every pixel by itself, so that those it is given can stand side by side
        n_pixels = None if c.border or c.step > 1 else int(np.count_nonzero(foreground))
        tiling = cover(foreground, c.tile, c.step, c.border) if n_pixels is None else column_of_tiles(n_pixels)
        h, w = tiling.shape
        given = np.zeros((c.planes, *tiling.canvas), np.float32)
        if tiling.corners:
            pool = self._workers(threads)
            if n_pixels is None:
                crop = crop_around(_covered(tiling, foreground), c.border)
                images, mask = coefficients, foreground
            else:
                images, mask = _in_a_row(coefficients, foreground)
                crop = slice(0, 1), slice(0, mask.shape[1])
            y0, x0 = (side.start + c.border for side in crop) if n_pixels is None else (0, 0)

            def prepared() -> Tensor:
                canvas = self._canvas(images, mask, efficiency, crop)
                return canvas if n_pixels is None else _side_by_side(canvas, tiling.canvas)

            with _when_out_of_memory(MemoryError("the normalised slice does not fit into memory")):
                canvas = pool.submit(prepared).result()

            def run_group(group: list[Corner]) -> Tensor:
                sign.check()
                at = [(y - y0, x - x0) for y, x in group]
                return self._run(_cut(canvas, at, tiling.shape, c.border))

            def run(corners: list[Corner]) -> Tensor:
                groups = [corners] if self._stack else [[corner] for corner in corners]
                return torch.cat(list(pool.map(run_group, groups)))

            # threads wait for each other after every batch; tiles without a border are so small that all are one
            at_once = threads if n_pixels is None else len(tiling.corners)
            for (y, x), tile in _in_batches(run, tiling.corners, self._stack or at_once):
                given[:, y : y + h, x : x + w] = tile.numpy()
        if n_pixels is None:
            return given[:, : foreground.shape[0], : foreground.shape[1]]
        planes = np.zeros((c.planes, *foreground.shape), np.float32)
        planes[:, foreground] = given.reshape(c.planes, -1)[:, :n_pixels]
        return planes

    @torch.inference_mode()
    def _canvas(
        self,
        coefficients: NDArray[np.complex64],
        foreground: NDArray[np.bool_],
        efficiency: float,
        crop: Crop,
    ) -> Tensor:
        """The normalised crop of the slice, (1, channels, y, x), with zeros outside the slice."""

        def normalise(channels: Tensor, mask: Tensor, efficiency: float) -> Tensor:
            with _unoptimised():
                fed: Tensor = self._normalise(channels.to(self.device), mask.to(self.device), efficiency)
                return fed.to(self.precision)

        whole, mask = torch.from_numpy(coefficients), torch.from_numpy(foreground)
        canvas = normalised_crop(normalise, whole, mask, efficiency, crop)
        return canvas[None].contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _run(self, patches: Tensor) -> Tensor:
        with _unoptimised():
            given: Tensor = self._forward(patches)
            return given.float().cpu()

    def _tile_run(self, forward: Any, precision: torch.dtype) -> Callable[[], None]:
        """A function that computes a small tile of noise on one thread, as for a slice."""
        c = self.contract
        side = min(c.tile, -(-TIMED_TILE // c.step) * c.step) + 2 * c.border

        def run() -> None:
            noise = torch.randn(1, c.channels, side, side, generator=torch.Generator().manual_seed(0))
            patch = noise.to(self.device, precision).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode(), _unoptimised():
                forward(patch)

        def alone() -> None:
            with workers(1) as pool:
                pool.submit(run).result()

        return alone

    def _most_at_once(self) -> int:
        """The number of tiles for which the device has memory; the first run also loads its libraries."""
        c = self.contract
        side = c.tile + 2 * c.border
        for n in STACKS:
            torch.cuda.empty_cache()
            shape = (n, c.channels, side, side)
            with suppress(MemoryError), _when_out_of_memory(MemoryError()):
                self._run(
                    torch.empty(shape, dtype=self.precision, device=self.device, memory_format=torch.channels_last)
                )
                return n
        raise InputError(f"The {self.device.type} device has no memory for a single tile of the network.")


def _frozen(module: Any, device: torch.device, precision: torch.dtype) -> Any:
    """The module's forward in a precision."""
    cast: Any = copy.deepcopy(module).to(device, precision)
    return torch.jit.freeze(cast.to(memory_format=torch.channels_last))


def _in_batches(
    run: Callable[[list[Corner]], Tensor], corners: list[Corner], at_once: int
) -> Iterator[tuple[Corner, Tensor]]:
    """Run all corners, several at once, and fewer if memory runs out. Raises MemoryError if one is too much."""
    waiting = corners
    while waiting:
        batch = waiting[:at_once]
        try:
            with _when_out_of_memory(MemoryError()):
                tiles = run(batch)
        except MemoryError:
            if len(batch) == 1:
                raise MemoryError("not even one tile of the network fits into memory") from None
            at_once = len(batch) // 2
            torch.cuda.empty_cache()  # does nothing without CUDA
        else:
            yield from zip(batch, tiles, strict=True)
            waiting = waiting[len(batch) :]


def _covered(tiling: Tiling, foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask of all pixels that are needed: the foreground, which normalisation uses, and all tiles."""
    covered = np.zeros(tiling.canvas, bool)
    covered[: foreground.shape[0], : foreground.shape[1]] = foreground
    for y, x in tiling.corners:
        covered[y : y + tiling.shape[0], x : x + tiling.shape[1]] = True
    return covered


def _in_a_row(
    coefficients: NDArray[np.complex64], foreground: NDArray[np.bool_]
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """The pixels of the foreground as an image of one row (K, 1, n), and its mask (1, n)."""
    inside = np.flatnonzero(foreground)
    pixels = np.take(coefficients.reshape(len(coefficients), -1), inside, axis=1)
    return pixels[:, None], np.ones((1, len(inside)), bool)


def _side_by_side(row: Tensor, shape: Corner) -> Tensor:
    """The pixels of a row (1, channels, 1, n) in a canvas of this shape, row by row, then zeros."""
    pixels = row[0, :, 0].T  # of which the channels are neighbours in memory
    out = row.new_zeros((shape[0] * shape[1], pixels.shape[1]))
    out[: len(pixels)] = pixels
    return out.reshape(1, *shape, -1).movedim(-1, 1)


def _cut(canvas: Tensor, corners: list[Corner], shape: tuple[int, int], border: int) -> Tensor:
    """Patches (n, channels, h + 2 border, w + 2 border) of a canvas; corners do not count the canvas's border."""
    h, w = shape[0] + 2 * border, shape[1] + 2 * border
    patches = torch.cat([canvas[:, :, y : y + h, x : x + w] for y, x in corners])
    return patches.contiguous(memory_format=torch.channels_last)


def _unoptimised() -> AbstractContextManager[None]:
    """A context without the optimisations that TorchScript makes after the first runs, because they can change bits."""
    context: AbstractContextManager[None] = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
    return context


@contextmanager
def _when_out_of_memory(instead: Exception) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise instead from None


def out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out. torch has several such errors; TorchScript raises RuntimeError."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)
