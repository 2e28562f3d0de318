"""The evidence that a denoiser learns from: slices that were simulated, mapped and refined as by the node.

Every subject has one file. It holds the truth, and the evidence of refined maps: those of matching in images of the
adjoint, and those of matching and of a network in consistent images. Matching is exact; refinement ends at nearly
the same maps from the quick search of the node.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.dask_workers import cores_and_memory
from spokestream.errors import FileError
from spokestream.gadgets.consistency import Consistency
from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.gadgets.imaging.low_rank import echo_times_of
from spokestream.gadgets.map_denoising import evidence_of
from spokestream.gadgets.messages import Fingerprints, Mask, ParameterMaps
from spokestream.gadgets.model_fit.residuals import parameter_columns
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.network_input import crop_around
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.gadgets.refinement import Refinement
from spokestream.gadgets.scan.context import ScanContext
from spokestream.models.archives import MATCHING, archive_path
from spokestream.models.datasets.full_fingerprints import full_fingerprints
from spokestream.models.datasets.making import exam_of
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.models.denoising.denoiser_settings import KINDS, DenoiserSettings
from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT, WaterFatSignal
from spokestream.whole_files import whole_hdf5

__all__ = ["EvidenceSlice", "evidence_path", "make_evidence", "read_slice"]

SCALES = Unknowns(WATER_FAT, {})


@dataclass(frozen=True, eq=False)
class EvidenceSlice:
    """The evidence of one slice and the truth, in the box of its tissue."""

    features: Tensor
    """(voxels, features) of `evidence`."""
    x: Tensor
    """(voxels, n) the unknowns of the maps."""
    mask: Mask
    """(y, x) the voxels."""
    target: Tensor
    """(n, y, x) the true unknowns; beyond the range of a parameter, its limit is the best that a method can give."""
    weight: Tensor
    """(n, y, x) how much each counts: the fraction of its pool, and 0 outside tissue."""
    soft: Mask
    """(y, x) tissue that is no bone."""


def evidence_path(folder: Path, seed: int) -> Path:
    """The file of a subject."""
    return folder / f"subject-{seed}.h5"


def make_evidence(
    folder: Path, settings: DenoiserSettings, progress: Callable[[int, int], object] = lambda done, all_of: None
) -> None:
    """Make the files that a folder lacks, in as many processes as there are cores.

    Raises SpokestreamError for a network that cannot map the sequence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in settings.data.seeds if not evidence_path(folder, seed).exists()]
    n = settings.subjects
    progress(n - len(missing), n)
    for number, _ in enumerate(_in_processes(partial(make_subject, folder, settings), missing), 1):
        progress(n - len(missing) + number, n)


def _in_processes(make: Callable[[int], None], seeds: list[int]) -> Iterator[None]:
    if len(seeds) < 2:
        yield from map(make, seeds)
        return
    with ProcessPoolExecutor(cores_and_memory()[0], get_context("spawn")) as pool:
        yield from pool.map(make, seeds)


def make_subject(folder: Path, settings: DenoiserSettings, seed: int) -> None:
    """Simulate one slice, map it, and write its evidence. It runs on one thread."""
    torch.set_num_threads(1)
    data, network = settings.data, _network(settings.network)
    exam, basis = exam_of(data, seed), network.contract.basis
    scan = simulated_scan(exam.sequence, 1)
    dictionary = WATER_FAT.dictionary(exam.sequence)
    fingerprints = full_fingerprints(
        exam, 0, basis, virtual_coils=data.virtual_coils, demodulation_hz=data.demodulation_hz, correct_delays=True,
        inversion=echo_times_of(WATER_FAT, exam.sequence, basis, dictionary.atoms), for_maps=True,
    )  # fmt: skip
    closed_form = WATER_FAT.closed_form(scan.sequence, basis)
    refinement = Refinement(scan, closed_form)
    mapped = Chain([DictionaryMatching(scan, WATER_FAT, dictionary), refinement]), False
    by_network = Chain([NetworkInference(scan, network, closed_form=closed_form)]), True
    with whole_hdf5(evidence_path(folder, seed)) as file:
        _write_truth(file, exam.phantoms[0])
        for kind, (chain, first) in zip(KINDS, (mapped, by_network), strict=True):
            consistency = Consistency(scan, closed_form, data.demodulation_hz, refinement, anew=not first)
            (maps,) = _maps(chain.feed(fingerprints))
            if kind == MATCHING:
                _write_evidence(file.create_group(f"{ADJOINT}/{kind}"), maps, scan, closed_form)
            (maps,) = _maps(consistency.feed(maps))
            _write_evidence(file.create_group(f"{CONSISTENT}/{kind}"), maps, scan, closed_form)


def _maps(messages: Iterable[object]) -> list[ParameterMaps]:
    return [message for message in messages if isinstance(message, ParameterMaps)]


@lru_cache(1)
def _network(name: str) -> TiledNetwork:
    return TiledNetwork(load_archive(archive_path(name)), "cpu", "float32")


def _write_truth(file: h5py.File, phantom: Phantom) -> None:
    bones = [number for number, name in enumerate(phantom.label_names) if "bone" in name]
    file["tissue"], file["bone"] = phantom.pd > 0, np.isin(phantom.label, bones)
    for name in WATER_FAT.names:
        file[f"truth/{name}"] = getattr(phantom, name).astype(np.float32)


def _write_evidence(group: h5py.Group, message: ParameterMaps, scan: ScanContext, closed_form: WaterFatSignal) -> None:
    fingerprints = message.fingerprints
    assert isinstance(fingerprints, Fingerprints)
    mask = message.foreground & np.all([np.isfinite(message.maps[name]) for name in WATER_FAT.names], axis=0)
    _, x, features = evidence_of(message, fingerprints, mask, closed_form, scan)
    group["mask"], group["x"], group["features"] = mask, x.numpy(), features.numpy()


def read_slice(path: Path, images: str, kind: str) -> EvidenceSlice:
    """The evidence of one slice by one kind of first maps, in these images. Raises FileError if a file lacks it."""
    with h5py.File(path) as file:
        group = file.get(f"{images}/{kind}")
        if group is None:
            raise FileError(f"{path} has no evidence of maps by {kind} in {images} images; make it in another folder.")
        mask = group["mask"][()]
        x, features = (torch.from_numpy(group[name][()]) for name in ("x", "features"))
        truth = {name: file[f"truth/{name}"][()] for name in WATER_FAT.names}
        tissue, bone = file["tissue"][()], file["bone"][()]
    box = crop_around(mask, 0)
    target = SCALES.of(parameter_columns(WATER_FAT, truth, np.ones_like(mask)))
    n = target.shape[1]
    return EvidenceSlice(
        features, x, mask[box], target.T.reshape(n, *mask.shape)[:, *box].contiguous(),
        _weights(truth, mask & tissue)[:, *box].contiguous(), (tissue & ~bone & mask)[box],
    )  # fmt: skip


def _weights(truth: dict[str, NDArray[np.float32]], counted: Mask) -> Tensor:
    """The weights (n, y, x) of the unknowns."""
    pools, weights = WATER_FAT.pool_fractions(truth), []
    for parameter in WATER_FAT.parameters:
        pool = pools[parameter.pool]
        held = counted & (pool > WATER_FAT.least_fraction)
        weights.append(torch.from_numpy((pool * held).astype(np.float32)))
    return torch.stack(weights)
