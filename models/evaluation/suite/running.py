"""The stress suite: makes the sets that are missing, and evaluates all methods on all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from spokestream.gadgets.imaging.image_kinds import ADJOINT, ITERATIVE
from spokestream.models.datasets.making import make_training_set
from spokestream.models.evaluation.evaluating import Evaluation, evaluate
from spokestream.models.evaluation.reconstructors import Reconstructor
from spokestream.models.evaluation.suite.conditions import MATRIX, StressCondition

__all__ = ["OF_ITERATIVE", "evaluate_suite"]

OF_ITERATIVE = "-iterative"
"""The end of the name of a condition whose sets have iterative images."""


class Show(Protocol):
    """Shows how far the work is, and what is being done."""

    def __call__(self, done: int, total: int, label: str) -> object:
        """Show the number of things that are done, the number of all, and a label."""


def evaluate_suite(
    folder: Path,
    conditions: Sequence[StressCondition],
    reconstructors: Sequence[Reconstructor],
    *,
    subjects: int = 10,
    slices: int = 1,
    matrix: int = MATRIX,
    images: Sequence[str] = (ADJOINT,),
    threads: int = 2,
    show: Show | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> Evaluation:
    """Evaluate methods under conditions.

    Args:
        folder: gets a set for every condition, in a folder with its name. A set that was begun is continued; one that
            has more subjects is used with all of them.
        conditions: the conditions.
        reconstructors: methods with different names. A method that cannot take the scan of a condition, as a network
            of another sequence, is left out there, and the reason is given.
        subjects: subjects of each set.
        slices: slices of each subject.
        matrix: see `StressCondition.data_settings`.
        images: `adjoint`, `iterative`, or both. Sets of iterative images are conditions of their own, whose names end
            with `OF_ITERATIVE`.
        threads: see `evaluate`.
        show: called with the number of subjects that are made, then with the number of slices that are reconstructed.
        scheduler: see `evaluate`; it makes the sets as well.
        workers: see `evaluate`.

    Raises InputError and FileError for settings and folders that do not fit, and what `evaluate` raises.

    """
    suffix = {ADJOINT: "", ITERATIVE: OF_ITERATIVE}
    settings = {c.name + suffix[i]: c.data_settings(subjects, slices, matrix, i) for c in conditions for i in images}
    for number, (name, of_set) in enumerate(settings.items()):

        def made(done: int, total: int, name: str = name, before: int = number * subjects) -> None:
            if show:
                show(before + done, len(settings) * total, f"{name}: subjects")

        make_training_set(folder / name, of_set, scheduler or "synchronous", made)
    evaluation = evaluate(
        [folder / name for name in settings],
        reconstructors,
        threads,
        (lambda done, total: show(done, total, "slices")) if show else None,
        scheduler,
        workers,
        leave_out=True,
    )
    words = {condition.name: condition.words for condition in conditions}
    for condition in evaluation.conditions:
        condition.about = words[condition.name.removesuffix(OF_ITERATIVE)]
    return evaluation
