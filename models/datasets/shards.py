"""The files of a training set: one HDF5 shard for each subject, and a JSON file with the settings they share."""

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.errors import FileError, InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.phantoms import DEFAULT_FOV_MM, MAP_UNITS
from spokestream.simulator.physics.sequences.pulse_sequence import SCALARS, TRAINS, PulseSequence
from spokestream.simulator.physics.sequences.stored_sequence import read_sequence, write_sequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.registry import model_of_sequence
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel
from spokestream.whole_files import check_writable, whole_file, whole_hdf5

__all__ = ["Slice", "TrainingSet", "matched_path", "open_or_create", "shard_path", "tissue", "write_shard"]

INDEX = "training_set.json"
BASIS = "basis.h5"
MOST_OPEN = 64
"""Shards that are open at the same time; operating systems allow a few hundred."""


@dataclass(frozen=True, eq=False)
class Slice:
    """The fingerprints that the runtime makes of a slice, and the true maps, all within the box of the subject."""

    fingerprints: NDArray[np.complex64]
    """(K, y, x) coefficients."""
    foreground: NDArray[np.bool_]
    """(y, x) the mask that the node computes."""
    maps: dict[str, NDArray[np.float32]]
    """Name -> (y, x); units are those of `spokestream.simulator.phantoms.MAP_UNITS`."""
    label: NDArray[np.uint8]
    """(y, x) tissue of each pixel."""
    adjoint: NDArray[np.complex64] | None = None
    """(K, y, x) coefficients by images of the adjoint, if the fingerprints are iterative images."""


def open_or_create(
    folder: Path, recipe: dict[str, Any], sequence: PulseSequence, make_basis: Callable[[], TemporalBasis]
) -> TemporalBasis:
    """Create a training set in a folder, or check that the folder holds this training set. Returns its basis.

    The basis is computed once and stored: the sign of singular vectors is arbitrary, and so is their direction where
    two singular values are equal, so that another machine may find other vectors.

    Raises FileError, which says what differs, for a folder that was made with another recipe or another sequence.
    """
    index, file = folder / INDEX, folder / BASIS
    recipe = json.loads(json.dumps(recipe))
    if not index.exists():
        check_writable(folder)
        _write_basis(file, sequence, make_basis())
        with whole_file(index) as draft:
            draft.write_text(json.dumps(recipe, indent=2) + "\n")
    theirs = _read(index)
    different = sorted(name for name in theirs.keys() | recipe.keys() if theirs.get(name) != recipe.get(name))
    if different:
        raise FileError(
            f"The training set in {folder} was made with other settings ({', '.join(different)}); "
            "take another folder, or those settings."
        )
    old, basis = _read_basis(file)
    if difference := old.difference(sequence):
        raise FileError(f"The training set in {folder} was made with another sequence: {difference}.")
    return basis


def shard_path(folder: Path, seed: int) -> Path:
    """The file of a subject."""
    return folder / f"subject-{seed:06d}.h5"


def matched_path(folder: Path, seed: int) -> Path:
    """The file with matching's maps of a subject."""
    return folder / f"matched-{seed:06d}.h5"


def write_shard(path: Path, exam: WhitenedExam, corner: tuple[int, int], slices: list[Slice]) -> None:
    """Write the slices of a subject. The file appears when it is complete."""
    with whole_hdf5(path) as file:
        file["fingerprints"] = np.stack([s.fingerprints for s in slices])
        file["foreground"] = np.stack([s.foreground for s in slices])
        if adjoint := [s.adjoint for s in slices if s.adjoint is not None]:
            file["adjoint"] = np.stack(adjoint)
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
    """The slices of a training set, for torch's `DataLoader`; files are opened when they are needed.

    An item holds `fingerprints` (K, y, x) complex64, `foreground` (y, x) bool, the maps of the phantom and the
    parameters of the tissue model by name, each (y, x) float32, and the `inversion_efficiency` of the exam. Boxes
    differ in size between subjects: a batch is made of patches, or of one item.

    Args:
        folder: the training set, filled by `make_training_set`.
        seeds: numbers of the subjects to use, so that none is used both for training and for testing; None uses all.
        matched: whether the parameters of the tissue model are the maps that `match_training_set` stored; else they are
            those of the phantom.

    Raises FileError for a folder without a training set, and for a subject that is not in it or was not matched.

    """

    def __init__(self, folder: Path | str, seeds: Collection[int] | None = None, matched: bool = False) -> None:
        self.folder = Path(folder)
        self.recipe = _read(self.folder / INDEX)
        self.sequence, self.basis = _read_basis(self.folder / BASIS)
        self.tissue_model: TissueModel = model_of_sequence(self.sequence)
        """The tissue model whose parameters the set's sequence encodes."""
        present = {int(path.stem.removeprefix("subject-")) for path in self.folder.glob("subject-*.h5")}
        missing = sorted(set(seeds or ()) - present)
        if missing:
            raise FileError(f"Subject {missing[0]} is not in the training set {self.folder}.")
        self.seeds = sorted(present if seeds is None else seeds)
        self._matched = matched
        if matched and (lacking := [n for n in self.seeds if not matched_path(self.folder, n).exists()]):
            raise FileError(
                f"Subject {lacking[0]} of {self.folder} has no maps of matching; "
                "'spokestream train --targets matching' in a single process computes them first."
            )
        self._files: dict[int, Any] = {}

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """The smallest and the largest pixel in mm; every anatomy is scanned with its own field of view."""
        matrix = int(self.recipe["matrix"])
        pixels = [DEFAULT_FOV_MM[anatomy] / matrix for anatomy in self.recipe["anatomies"].split(",")]
        return min(pixels), max(pixels)

    @property
    def images(self) -> str:
        """Whether the fingerprints are `adjoint` or `iterative` images."""
        return str(self.recipe.get("images", ADJOINT))

    @property
    def demodulation_hz(self) -> float:
        """Receiver frequency during the readout below that of water."""
        return float(self.recipe["demodulation_hz"])

    @property
    def efficiencies(self) -> tuple[float, float]:
        """The lowest and the highest efficiency of the inversion."""
        low, high = self.recipe["inversion_efficiency"]
        return float(low), float(high)

    @property
    def identity(self) -> dict[str, Any]:
        """The settings of the set and a digest of its basis and sequence; another training set has another identity."""
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
        item |= self._matching(index) if self._matched else self.tissue_model.truth(item)
        return item | {"inversion_efficiency": torch.tensor(file["exam"].attrs["inversion_efficiency"])}

    def message(self, index: int) -> Fingerprints:
        """The fingerprints of a slice, as the node passes them to matching or to a network."""
        file, level = self._place(index)
        number = index % int(self.recipe["slices"])
        found = Fingerprints(file["fingerprints"][level], self.basis, file["foreground"][level], number, NOWHERE)
        return replace(found, adjoint=replace(found, data=file["adjoint"][level])) if "adjoint" in file else found

    def labels(self, index: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """The tissue label (y, x) of every pixel of a slice, and the names of the tissues."""
        file, level = self._place(index)
        return file["label"][level], tuple(json.loads(file["label"].attrs["names"]))

    def _matching(self, index: int) -> dict[str, Tensor]:
        """Matching's maps of a slice, by the parameters of the tissue model."""
        subject, level = divmod(index, int(self.recipe["slices"]))
        with h5py.File(matched_path(self.folder, self.seeds[subject]), "r") as file:
            return {name: torch.from_numpy(file[name][level]) for name in self.tissue_model.names}

    def _place(self, index: int) -> tuple[Any, int]:
        """The open file of an item, and the number of its slice in that file."""
        if not 0 <= index < len(self):
            raise IndexError(f"The training set has {len(self)} slices; there is no slice {index}.")
        subject, level = divmod(index, int(self.recipe["slices"]))
        return self._file(self.seeds[subject]), level

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}  # open files do not go to another process

    def _file(self, seed: int) -> Any:
        file = self._files.pop(seed, None) or h5py.File(shard_path(self.folder, seed), "r")
        self._files[seed] = file  # the most recently used file is the last one
        if len(self._files) > MOST_OPEN:
            self._files.pop(next(iter(self._files))).close()
        return file


def _read(index: Path) -> dict[str, Any]:
    try:
        recipe = json.loads(index.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise FileError(f"{index.parent} holds no training set.") from None
    return dict(recipe)


def _write_basis(path: Path, sequence: PulseSequence, basis: TemporalBasis) -> None:
    with whole_hdf5(path) as file:
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
    except (OSError, KeyError, TypeError, ValueError, InputError):
        raise FileError(f"{path.parent} has lost the basis of its training set.") from None


def tissue(item: dict[str, Tensor]) -> Tensor:
    """Mask (y, x) of the pixels that the node takes for tissue and that do hold tissue."""
    return item["foreground"] & (item["pd"] > 0)
