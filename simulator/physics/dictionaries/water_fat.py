"""The MRF T1-FF dictionary: water atoms over T1 and B1, and fat atoms over T1 and B1.

The fat fraction is a mixing coefficient, and off-resonance is one phase per echo time. Neither is an axis of the
dictionary, so that 1,830 real atoms replace the 7 million atoms of the full grid (Slioussarenko et al. 2024 for the
mixture).
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.t1t2 import KIND as T1T2
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.sequences.stored_sequence import read_sequence, write_sequence
from spokestream.simulator.physics.signal import FAT_T2_MS, WATER_T2_MS, pool_signal
from spokestream.whole_files import whole_hdf5

__all__ = ["Grid", "WaterFatDictionary", "build_dictionary", "load_dictionary", "save_dictionary"]

Axis = NDArray[np.float64]


def _axis(*runs: tuple[float, float, float]) -> Axis:
    return np.concatenate([np.linspace(a, b, round((b - a) / step) + 1) for a, b, step in runs])


@dataclass(frozen=True, eq=False)
class Grid:
    """The parameter values of the search. The default is the grid of Balsiger et al. 2020 without its FF axis."""

    t1h2o_ms: Axis = field(default_factory=lambda: _axis((550, 1600, 10), (1650, 2000, 50)))
    t1fat_ms: Axis = field(default_factory=lambda: _axis((225, 400, 25)))
    b1: Axis = field(default_factory=lambda: _axis((0.3, 1.0, 0.05)))
    deltaf_hz: Axis = field(default_factory=lambda: _axis((-120, 120, 10)))

    def __len__(self) -> int:
        return len(self.t1h2o_ms) * len(self.t1fat_ms) * len(self.b1) * len(self.deltaf_hz)


@dataclass(frozen=True, eq=False)
class WaterFatDictionary:
    """The atoms of one sequence: the signal at every spoke, per unit of proton density."""

    sequence: PulseSequence
    grid: Grid
    water: NDArray[np.float64]
    """(b1, t1h2o, spokes) signal of water."""
    fat: NDArray[np.float64]
    """(b1, t1fat, spokes) signal of fat, without the phasor of the spectrum."""
    spectrum: FatModel

    @property
    def atoms(self) -> NDArray[np.float64]:
        """All atoms (atoms, spokes): water, then fat."""
        n = len(self.sequence)
        return np.vstack([self.water.reshape(-1, n), self.fat.reshape(-1, n)])

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes of the grid by quantity: B1 of both pools, off-resonance, then T1 of water and of fat."""
        grid = self.grid
        return {"b1": grid.b1, "deltaf": grid.deltaf_hz, "t1h2o": grid.t1h2o_ms, "t1fat": grid.t1fat_ms}

    def values(self, match: Match) -> dict[str, NDArray[Any]]:
        """The matched values. Where a pool is absent (FF is exactly 1 or 0), its T1 is 0."""
        ff = match.fraction
        assert ff is not None
        found = {name: axis[match.index[name]] for name, axis in self.axes.items()}
        found["t1h2o"], found["t1fat"] = np.where(ff < 1, found["t1h2o"], 0), np.where(ff > 0, found["t1fat"], 0)
        return {"ff": ff, **found}

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify these atoms, for provenance."""
        state = hashlib.sha256()
        for array in (self.water, self.fat, self.grid.deltaf_hz, self.spectrum.frequency_hz, self.spectrum.amplitude):
            state.update(np.ascontiguousarray(array, np.float32).tobytes())
        return state.hexdigest()[:12]


def build_dictionary(
    sequence: PulseSequence, grid: Grid | None = None, spectrum: FatModel | None = None
) -> WaterFatDictionary:
    """Compute all atoms of a grid in closed form, which takes a tenth of a second for the published grid.

    Raises InputError for a train that is not ideally spoiled, because off-resonance is not one phase per echo time
    there.
    """
    if sequence.spoiling != "ideal":
        raise InputError(
            f"Water and fat are told apart in ideally spoiled trains; the spoiling of '{sequence.name}' is "
            f"{sequence.spoiling}."
        )
    grid, spectrum = grid or Grid(), spectrum or FatModel()
    b1 = grid.b1[:, None]
    return WaterFatDictionary(
        sequence,
        grid,
        water=pool_signal(sequence, grid.t1h2o_ms, b1, WATER_T2_MS),
        fat=pool_signal(sequence, grid.t1fat_ms, b1, FAT_T2_MS),
        spectrum=spectrum,
    )


def save_dictionary(path: Path, dictionary: WaterFatDictionary, software: str = "") -> None:
    """Write grid, atoms, fat spectrum and sequence as HDF5. Raises FileError if the file cannot be written."""
    grid = dictionary.grid
    with whole_hdf5(path) as file:
        file.attrs.update(kind="spokestream dictionary", software=software, digest=dictionary.digest)
        for name in ("t1h2o_ms", "t1fat_ms", "b1", "deltaf_hz"):
            file[f"grid/{name}"] = getattr(grid, name)
        write_sequence(file, dictionary.sequence)
        file["fat/frequency_hz"] = dictionary.spectrum.frequency_hz
        file["fat/amplitude"] = dictionary.spectrum.amplitude
        file["atoms/water"] = dictionary.water.astype(np.float32)
        file["atoms/fat"] = dictionary.fat.astype(np.float32)


def load_dictionary(path: Path) -> WaterFatDictionary:
    """Read a file of `save_dictionary`. Raises FileError, with one sentence, for any other file."""
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("kind") == T1T2:
                raise FileError(
                    f"{path} is a dictionary over T1 and T2; maps of water and fat need one that was made with "
                    "`spokestream dictionary --grid t1ff`."
                )
            dictionary = WaterFatDictionary(
                read_sequence(file),
                Grid(**{name: file[f"grid/{name}"][()] for name in ("t1h2o_ms", "t1fat_ms", "b1", "deltaf_hz")}),
                water=file["atoms/water"][()].astype(np.float64),
                fat=file["atoms/fat"][()].astype(np.float64),
                spectrum=FatModel(file["fat/frequency_hz"][()], file["fat/amplitude"][()]),
            )
    except (OSError, KeyError, TypeError, ValueError, InputError) as error:
        raise FileError(f"{path} is no dictionary file of spokestream ({error}).") from None
    grid, n = dictionary.grid, len(dictionary.sequence)
    expected = ((len(grid.b1), len(grid.t1h2o_ms), n), (len(grid.b1), len(grid.t1fat_ms), n))
    if (dictionary.water.shape, dictionary.fat.shape) != expected:
        raise FileError(f"{path} holds atoms of another shape than its own grid and sequence.")
    return dictionary
