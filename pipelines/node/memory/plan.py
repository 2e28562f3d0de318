"""The memory that the reconstruction of a scan needs, planned from its header, its settings and its first readout.

The sizes of the arrays follow from the gadgets. The constants were measured by `benchmarks/memory_plan.py` on scans of
96, 192 and 320 pixels, by dictionary matching and by a network.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from spokestream.gadgets.gridding import MOST_UNASKED_BYTES
from spokestream.gadgets.imaging.coarse_images import times_finer
from spokestream.gadgets.imaging.frame_spreader import spread_grids
from spokestream.gadgets.imaging.image_kinds import CONSISTENT, ITERATIVE
from spokestream.gadgets.imaging.point_spread import PointSpread
from spokestream.gadgets.imaging.radial_grid import UPSAMPLING
from spokestream.gadgets.imaging.readout_phase import ORDER
from spokestream.gadgets.imaging.sample_operator import SampleSpread
from spokestream.gadgets.network.archive import read_contract
from spokestream.gadgets.network.contract import Contract
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.header_sequence import sequence_from_header
from spokestream.gadgets.spokes.gradient_delays import SPOKES
from spokestream.pipelines.chains import network_path
from spokestream.pipelines.selection import Selection
from spokestream.pipelines.settings import MatchingSettings, NetworkSettings, StreamSettings
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["MemoryPlan", "plan_scan"]

MiB = 1 << 20
CELLS_PER_PIXEL = UPSAMPLING**2
"""Cells of a grid for each pixel."""
ITEM_BYTES = 2048
"""Size of a readout in Python without its arrays: its header and the objects around it."""
MARGIN = 1.15
"""The plan over the sum of its parts, for what the allocator of the C library keeps."""
WATER_FAT_BYTES_PER_SPOKE = 64_000
"""1,830 atoms in double precision, four times: atoms, weighted frames and their products."""
PHASE_GRAPH_BYTES, PHASE_GRAPH_BYTES_PER_SPOKE = 100 * MiB, 340_000
"""Atoms over T1 and T2 in steps of 2.5 %, and their frames, and the search among them."""
IMAGES_PER_ECHO_TIME = {"ideal": 6, "gradient": 19, "balanced": 19}
"""Images of the compressed basis for each echo time, by the spoiling of the train: 16 for the three echo times of MRF
T1-FF, 19 of `fisp-song-1000`."""
MATCHED_BYTES_PER_IMAGE, THREAD_BYTES_PER_IMAGE = 600_000, 500_000
"""Atoms in the basis and their singular value decomposition, and arrays of one thread, for each image of the basis
`frames`."""
COPIES_OF_FRAMES = 2.5
"""Arrays of the size of all frames of a slice that exist at once: images, voxels of the tissue, and residuals."""
COPIES_OF_PROVISIONAL = 4
"""Arrays of the size of all coarse images that provisional maps need: images, and those of the foreground."""
TRAJECTORY_BYTES = 8
"""kx and ky of a sample."""
MATCHING_BYTES = 60 * MiB
"""Arrays of one thread that compares a piece of voxels with the atoms."""
PIXELS_PER_THREAD = 12_000
"""Pixels of an image that occupy one more thread: at 96 pixels a second thread took 8 MiB, and 63 MiB at 192."""
INVERTED_PAIRS = {"ideal": (28, 21), "gradient": (190, 190), "balanced": (190, 190)}
"""Pairs of images of the first echo time, and of each other one, by the spoiling of the train: seven and six images, or
19."""
MAPS_PER_SLICE = 80
"""Complex images of a slice that matching, physics check and standard deviations hold at once."""
NETWORK_BYTES = 60 * MiB
NETWORK_IMAGES_PER_SLICE = 170
"""Memory of the network's tiles, and complex images of a slice that its layers and the physics check hold."""

DENOISING_IMAGES_PER_SLICE = 50
"""Complex images of a slice that the evidence of its maps holds, on voxels and on pixels, and what threads compute."""


@dataclass(frozen=True)
class MemoryPlan:
    """The bytes that one scan needs at most, by what needs them."""

    dictionary: int
    noise: int
    grids: int
    images: int
    maps: int
    inbox: int

    @property
    def total(self) -> int:
        """Everything together, with the margin."""
        parts = self.dictionary, self.noise, self.grids, self.images, self.maps, self.inbox
        return math.ceil(MARGIN * sum(parts))


def plan_scan(selection: Selection, header_xml: str, channels: int, readout_bytes: int, queue_bytes: int) -> MemoryPlan:
    """Plan the memory of a scan.

    Args:
        selection: the pipeline and its settings.
        header_xml: the ISMRMRD header.
        channels: receiver channels of the largest readout so far.
        readout_bytes: its samples and trajectory.
        queue_bytes: limit for readouts that wait to be reconstructed.

    The first spoke says to which of the header's encodings the scan belongs; the plan is that of the largest one.

    Raises SpokestreamError as `start_scan` does, if the scan cannot be served.

    """
    headers = ScanHeader.every_from_xml(header_xml)
    sequence = sequence_from_header(headers[0], selection.settings.sequence).sequence
    settings = selection.of_sequence(sequence).settings
    plans = (_plan(sequence, settings, header, channels, readout_bytes, queue_bytes) for header in headers)
    return max(plans, key=lambda plan: plan.total)


def _plan(
    sequence: PulseSequence,
    settings: StreamSettings,
    header: ScanHeader,
    channels: int,
    readout_bytes: int,
    queue_bytes: int,
) -> MemoryPlan:
    """The plan for one of the header's encodings."""
    channels = max(channels, 1)
    # the first readout may be one of noise, which has no trajectory; the others must not find the memory taken
    readout_bytes = max(readout_bytes, header.encoded_matrix[0] * (8 * channels + TRAJECTORY_BYTES))
    coils = min(settings.virtual_coils, channels)
    n_images, in_frames, by_network = _images(sequence, settings)
    pixels = header.recon_matrix[0] * header.recon_matrix[1]
    image, frames = 8 * pixels, sequence.n_frames
    threads = min(settings.threads, math.ceil(pixels / PIXELS_PER_THREAD))
    dictionary = 0
    if settings.provisional or not by_network or _inverted_pairs(sequence, settings):
        if sequence.spoiling == "ideal":
            dictionary = WATER_FAT_BYTES_PER_SPOKE * len(sequence)
        else:
            dictionary = PHASE_GRAPH_BYTES + PHASE_GRAPH_BYTES_PER_SPOKE * len(sequence)
        dictionary += 8 * frames**2
    if by_network:
        maps = NETWORK_BYTES + NETWORK_IMAGES_PER_SLICE * image
    else:
        maps = threads * MATCHING_BYTES + MAPS_PER_SLICE * image
        if in_frames:
            dictionary += MATCHED_BYTES_PER_IMAGE * n_images
            maps += threads * THREAD_BYTES_PER_IMAGE * n_images
    if _may_denoise(sequence, settings):
        maps += DENOISING_IMAGES_PER_SLICE * image
    # beside the images: what frames are spread onto, and every thread's transforms of all coils of an image
    grids = (0 if in_frames else n_images) + min(settings.threads, n_images)
    grids += math.ceil(spread_grids(coils, settings.threads, by_frame=in_frames) / coils)
    if settings.provisional:  # a copy of the centres of the grids, and coarse images beside those of the final maps
        coarse = times_finer(header.recon_matrix[:2]) ** -2
        grids += math.ceil(min(1, 4 * coarse) * n_images)  # a Hann window is twice as wide as the coarse k-space
        maps += MATCHING_BYTES + math.ceil(COPIES_OF_PROVISIONAL * coarse * n_images * image)
    inverted = 0
    if pairs := _inverted_pairs(sequence, settings):
        spreads, terms = (SampleSpread.PARTS, ORDER + 1) if _consistent(settings) else (1, 1)
        of_spectra = 4 * 4 * pixels * pairs * terms
        of_functions = PointSpread.bytes_needed(header.recon_matrix[:2], pairs) * spreads
        inverted = of_functions + of_spectra
        unasked = isinstance(settings, MatchingSettings) and settings.images == "auto"
        if unasked and of_functions > MOST_UNASKED_BYTES:
            inverted = math.ceil(inverted * MOST_UNASKED_BYTES / of_functions)
    spoke = coils * readout_bytes // channels + ITEM_BYTES
    held = min(len(sequence), 64 * sequence.spokes_per_frame)  # by the coil compression
    held += min(SPOKES, len(sequence) // 2)  # by the delay correction
    readouts = len(sequence) * header.n_slices
    return MemoryPlan(
        dictionary=dictionary,
        noise=16 * 4 * channels**2,
        grids=math.ceil(grids * coils * CELLS_PER_PIXEL * image) + inverted,
        images=math.ceil((COPIES_OF_FRAMES if in_frames else 1) * n_images * image) + held * spoke,
        maps=maps,
        inbox=min(max(queue_bytes, readout_bytes), readouts * (readout_bytes + ITEM_BYTES)),
    )


def _images(sequence: PulseSequence, settings: StreamSettings) -> tuple[int, bool, bool]:
    """The number of images of the basis, whether frames are combined as they come, and whether a network maps them."""
    if isinstance(settings, NetworkSettings):
        basis = _contract_of(settings).basis
        return basis.weights.shape[1], basis.is_windows, True
    if isinstance(settings, MatchingSettings) and settings.basis == "frames":
        return sequence.n_frames, True, False
    if isinstance(settings, MatchingSettings) and settings.basis == "window":
        n_windows = len(sequence) // settings.stride + len(sequence.echo_times_ms)
        return n_windows, 2 * n_windows > sequence.n_frames, False
    n_images = IMAGES_PER_ECHO_TIME[sequence.spoiling] * len(sequence.echo_times_ms)
    return min(n_images, sequence.n_frames), False, False


def _inverted_pairs(sequence: PulseSequence, settings: StreamSettings) -> int:
    """The number of pairs of images that have a point spread function; 0 if images are those of the adjoint alone."""
    if isinstance(settings, NetworkSettings):
        contract = _contract_of(settings)
        if contract.images != ITERATIVE and not _consistent(settings):
            return 0
        _, images = np.unique(contract.basis.te_ms, return_counts=True)
        return int((images * (images + 1) // 2).sum())
    if isinstance(settings, MatchingSettings) and settings.inverts:
        first, others = INVERTED_PAIRS[sequence.spoiling]
        return first + others * (len(sequence.echo_times_ms) - 1)
    return 0


def _may_denoise(sequence: PulseSequence, settings: StreamSettings) -> bool:
    """Whether maps of water and fat are denoised if there is a denoiser: those of matching, or in consistent images."""
    if "off" in (settings.denoise, settings.refine) or sequence.spoiling != "ideal":
        return False
    if isinstance(settings, MatchingSettings):
        return settings.basis == "compressed" and settings.kind_of_images != ITERATIVE
    return _consistent(settings)


def _consistent(settings: StreamSettings) -> bool:
    return isinstance(settings, MatchingSettings | NetworkSettings) and settings.images == CONSISTENT


def _contract_of(settings: NetworkSettings) -> Contract:
    path = network_path(settings)
    return _contract(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(16)
def _contract(path: Path, changed_ns: int) -> Contract:
    """The contract of an archive that was changed at this time."""
    return read_contract(path)
