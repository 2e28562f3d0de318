"""The scans of the study: the same subjects with all time points, and with the first half, quarter or eighth."""

from pathlib import Path

import numpy as np

from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.pipelines.studies.fang2019.sizes import ALL_POINTS, Sizes
from spokestream.pipelines.studies.left_out import set_without
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.whole_files import whole_file

__all__ = ["SEQUENCE", "Scans", "vectors_for"]

SEQUENCE = "fisp-fang-2304"
NOISE = 0.05
"""Noise of a frame over its mean signal, per real and imaginary part."""


class Scans:
    """The scans of all subjects, in a folder.

    Args:
        folder: the folder of the study.
        sizes: of the study.
        seed: number of the first subject.

    """

    def __init__(self, folder: Path, sizes: Sizes, seed: int) -> None:
        self.folder, self.sizes = folder.absolute() / "scans", sizes
        self.subjects = range(seed, seed + sizes.subjects)

    @property
    def left_out(self) -> list[int]:
        """The subject that is left out in every fold: the last one first."""
        return list(reversed(self.subjects))[: self.sizes.folds]

    def make(self, acceleration: int, subjects: list[int]) -> TrainingSet:
        """The scans of these subjects, which are made if they do not exist."""
        folder = self._set(acceleration)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "sequence.toml"
        if not path.exists():
            with whole_file(path) as draft:
                frame = 1 if acceleration == ALL_POINTS else self.sizes.frame
                draft.write_text(_shortened(self.sizes.points // acceleration, frame), "utf-8")
        for subject in subjects:
            make_training_set(folder, self._settings(subject, path), "synchronous")
        return TrainingSet(folder, subjects)

    def test(self, acceleration: int, subject: int) -> TrainingSet:
        """The scan of a subject that is left out."""
        return TrainingSet(self._set(acceleration), [subject])

    def exam(self, acceleration: int, subject: int) -> WhitenedExam:
        """The scan of a subject, from which its k-space can be simulated; it has been made."""
        return WhitenedExam(self._settings(subject, self._set(acceleration) / "sequence.toml").exam(subject))

    def training(self, acceleration: int, subject: int) -> Path:
        """The folder of a training set without one subject; it refers to the scans of the others."""
        return set_without(self._set(acceleration), subject, self.folder / f"{acceleration}-without-{subject}")

    def _set(self, acceleration: int) -> Path:
        return self.folder / f"{acceleration}"

    def _settings(self, subject: int, sequence: Path) -> DataSettings:
        sizes = self.sizes
        return DataSettings(
            subjects=1, first_seed=subject, population="volunteers", anatomies="brain", slices=sizes.slices,
            matrix=sizes.matrix, coils=(sizes.coils, sizes.coils), virtual_coils=sizes.coils, noise=(NOISE, NOISE),
            delays=0.0, inversion_efficiency=(1.0, 1.0), sequence=str(sequence), demodulation_hz=0.0,
        )  # fmt: skip


def _shortened(points: int, frame: int) -> str:
    """The sequence of the paper with its first time points only, as TOML."""
    whole = load_sequence(SEQUENCE)
    scalars = {"ti_ms": whole.ti_ms, "recovery_ms": whole.recovery_ms, "repetitions": whole.repetitions}
    lines = [f"{name} = {value}" for name, value in (scalars | {"spokes_per_frame": frame}).items()]
    lines += [f'spoiling = "{whole.spoiling}"', f"flip_angle_deg = {whole.flip_angle_deg[:points].tolist()}"]
    lines += [f"te_ms = {whole.te_ms[0]}", f"tr_ms = {whole.tr_ms[0]}", "[[train]]", f"spokes = {points}"]
    return "\n".join(lines) + "\n"


def vectors_for(dictionary: OnePoolDictionary, basis: TemporalBasis, percent: float) -> int:
    """The number of leading images of a basis that keep this part of the dictionary's energy, all atoms of norm 1."""
    coefficients = dictionary.in_basis(basis)
    power = np.mean(np.square(coefficients / np.linalg.norm(coefficients, axis=1, keepdims=True)), axis=0)
    return int(np.searchsorted(np.cumsum(power), percent / 100)) + 1
