"""The files of a training set: one HDF5 shard a subject, and one JSON that says what they have in common."""

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.models.atomic_write import draft_of
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.phantoms import MAP_UNITS
from spokestream.simulator.physics.sequences.pulse_sequence import SCALARS, TRAINS, PulseSequence
from spokestream.simulator.physics.sequences.stored_sequence import read_sequence, write_sequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["Slice", "TrainingSet", "claim", "shard_path", "tissue", "write_shard"]

INDEX = "training_set.json"
BASIS = "basis.h5"
MOST_OPEN = 64
"""Files of subjects; systems allow few hundreds."""


@dataclass(frozen=True, eq=False)
class Slice:
    """What the runtime makes of a slice, and the truth."""

    fingerprints: NDArray[np.complex64]
    """(K, y, x) of the box"""
    foreground: NDArray[np.bool_]
    """(y, x)"""
    maps: dict[str, NDArray[np.float32]]
    """Name -> (y, x); units are those of `spokestream.simulator.phantoms.MAP_UNITS`."""
    label: NDArray[np.uint8]
    """(y, x)"""


def claim(
    folder: Path, recipe: dict[str, Any], sequence: PulseSequence, make_basis: Callable[[], TemporalBasis]
) -> TemporalBasis:
    """Make the folder that of a training set, or check that it is; returns its basis.

    The basis is made once and kept: singular vectors are theirs to choose of sign and, where two are alike, of
    direction, so that another machine may find others.

    Raises ValueError, with what differs, for a folder that was made with another recipe or another sequence.
    """
    index, file = folder / INDEX, folder / BASIS
    recipe = json.loads(json.dumps(recipe))
    if not index.exists():
        with draft_of(file) as draft:
            _write_basis(draft, sequence, make_basis())
        with draft_of(index) as draft:
            draft.write_text(json.dumps(recipe, indent=2) + "\n")
    theirs = _read(index)
    different = sorted(name for name in theirs.keys() | recipe.keys() if theirs.get(name) != recipe.get(name))
    if different:
        raise ValueError(
            f"The training set in {folder} was made with other settings ({', '.join(different)}); "
            "take another folder, or those settings."
        )
    old, basis = _read_basis(file)
    if difference := old.difference(sequence):
        raise ValueError(f"The training set in {folder} was made with another sequence: {difference}.")
    return basis


def shard_path(folder: Path, seed: int) -> Path:
    """Where a subject lies."""
    return folder / f"subject-{seed:06d}.h5"


def write_shard(path: Path, exam: WhitenedExam, corner: tuple[int, int], slices: list[Slice]) -> None:
    """Write a subject's slices, under another name until all of it is there."""
    with draft_of(path) as draft, h5py.File(draft, "w") as file:
        file["fingerprints"] = np.stack([s.fingerprints for s in slices])
        file["foreground"] = np.stack([s.foreground for s in slices])
        for name, unit in MAP_UNITS.items():
            file[f"maps/{name}"] = np.stack([s.maps[name] for s in slices])
            file[f"maps/{name}"].attrs["unit"] = unit
        file["label"] = np.stack([s.label for s in slices])
        file["label"].attrs["names"] = json.dumps(exam.phantoms[0].label_names)
        file.attrs["corner"] = corner
        file.attrs["fov_mm"] = exam.protocol.fov_mm
        file.attrs["noise_sigma"] = exam.sigma
        file.create_group("subject").attrs.update(asdict(exam.subject))
        file.create_group("exam").attrs.update(asdict(exam.settings) | {"fov_mm": exam.protocol.fov_mm})


class TrainingSet(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The slices of a folder that `make_training_set` filled, for torch's `DataLoader`; files open when needed.

    An item holds `fingerprints` (K, y, x) complex64, `foreground` (y, x) bool, the maps, each (y, x) float32, by name,
    and the number `inversion_efficiency` of the exam. Boxes differ between subjects: take patches, or one item a batch.

    Args:
        folder: of the training set.
        seeds: of the subjects to take, so that none is both learnt from and tested on; None takes all.

    Raises ValueError for a folder without a training set, and for a subject that is not in it.

    """

    def __init__(self, folder: Path | str, seeds: Collection[int] | None = None) -> None:
        self.folder = Path(folder)
        self.recipe = _read(self.folder / INDEX)
        self.sequence, self.basis = _read_basis(self.folder / BASIS)
        there = {int(path.stem.removeprefix("subject-")) for path in self.folder.glob("subject-*.h5")}
        missing = sorted(set(seeds or ()) - there)
        if missing:
            raise ValueError(f"Subject {missing[0]} is not in the training set {self.folder}.")
        self.seeds = sorted(there if seeds is None else seeds)
        self._files: dict[int, Any] = {}

    @property
    def identity(self) -> dict[str, Any]:
        """What tells the set from others: its settings, and a digest of its basis and sequence."""
        basis, sequence = self.basis, self.sequence
        scalars = [basis.spokes_per_frame, *(getattr(sequence, name) for name in SCALARS)]
        arrays = [basis.weights, basis.noise, basis.te_ms, *(getattr(sequence, name) for name in TRAINS)]
        digest = hashlib.sha256(json.dumps(scalars).encode())
        for array in arrays:
            digest.update(array.tobytes())
        return {"recipe": self.recipe, "digest": digest.hexdigest()}

    def __len__(self) -> int:
        return len(self.seeds) * int(self.recipe["slices"])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        file, level = self._place(index)
        arrays = {"fingerprints": file["fingerprints"], "foreground": file["foreground"]} | dict(file["maps"])
        item = {name: torch.from_numpy(array[level]) for name, array in arrays.items()}
        return item | {"inversion_efficiency": torch.tensor(file["exam"].attrs["inversion_efficiency"])}

    def labels(self, index: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """Which tissue every pixel of a slice is of, (y, x), and the names of the tissues."""
        file, level = self._place(index)
        return file["label"][level], tuple(json.loads(file["label"].attrs["names"]))

    def _place(self, index: int) -> tuple[Any, int]:
        """File and slice of an item."""
        if not 0 <= index < len(self):
            raise IndexError(f"The training set has {len(self)} slices; there is no slice {index}.")
        subject, level = divmod(index, int(self.recipe["slices"]))
        return self._file(self.seeds[subject]), level

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}  # open files do not go to another process

    def _file(self, seed: int) -> Any:
        file = self._files.pop(seed, None) or h5py.File(shard_path(self.folder, seed), "r")
        self._files[seed] = file  # the last one used comes last
        if len(self._files) > MOST_OPEN:
            self._files.pop(next(iter(self._files))).close()
        return file


def _read(index: Path) -> dict[str, Any]:
    try:
        recipe = json.loads(index.read_text())
    except (OSError, json.JSONDecodeError):
        raise ValueError(f"{index.parent} holds no training set.") from None
    return dict(recipe)


def _write_basis(path: Path, sequence: PulseSequence, basis: TemporalBasis) -> None:
    with h5py.File(path, "w") as file:
        write_sequence(file, sequence)
        group = file.create_group("basis")
        group.attrs["spokes_per_frame"] = basis.spokes_per_frame
        for name in ("weights", "te_ms", "noise"):
            group[name] = getattr(basis, name)


def _read_basis(path: Path) -> tuple[PulseSequence, TemporalBasis]:
    try:
        with h5py.File(path, "r") as file:
            group = file["basis"]
            basis = TemporalBasis(
                group["weights"][()], group["te_ms"][()], int(group.attrs["spokes_per_frame"]), group["noise"][()]
            )
            return read_sequence(file), basis
    except (OSError, KeyError):
        raise ValueError(f"{path.parent} has lost the basis of its training set.") from None


def tissue(item: dict[str, Tensor]) -> Tensor:
    """(y, x) pixels of an item that the node takes for tissue and that hold some."""
    return item["foreground"] & (item["pd"] > 0)
