"""What a training run can be told, with unit, meaning and limits of every setting."""

from dataclasses import dataclass

from spokestream.settings import check_settings, setting

__all__ = ["DECAYS", "NETWORKS", "TrainingSettings"]

NETWORKS = (
    "ours", "balsiger2020", "balsiger2018", "fang2019", "cohen2018", "hoppe2017", "oksuz2019", "song2019",
)  # fmt: skip
"""`spokestream.models.training.recipes` says how each is built and trained."""
DECAYS = ("none", "cosine", "tenfold")
"""Of the learning rate: not at all; to zero, after a rise over the first hundredth; to a ten-thousandth in steps of a
tenth."""


@dataclass(frozen=True)
class TrainingSettings:
    """A training run. Raises ValueError, in one sentence, for what cannot be."""

    network: str = setting("ours", "", "Which one.", choices=NETWORKS)
    maps: str = setting("", "", "Maps to train, with commas; by default all of the set's tissue model.")
    seed: int = setting(0, "", "Of the first weights and of all that is drawn.", 0, 2**31)
    validation: int = setting(10, "subjects", "The last of the set, held out to choose the best weights.", 1, 100_000)
    subjects: int = setting(0, "", "Subjects to learn from, the first of the set; 0 takes all others.", 0, 1_000_000)
    epochs: int = setting(0, "", "How often every slice is seen; 0 takes the paper's.", 0, 100_000)
    first_epochs: int = setting(
        0, "", "Of them, those of the first step where a network learns in two; 0 takes the paper's.", 0, 100_000
    )
    learning_rate: float = setting(0.0, "", "Of Adam; 0 takes the paper's.", 0, 1)
    decay: str = setting(
        "paper", "", "Of the learning rate; cosine is for a run much shorter than the paper's.",
        choices=("paper", *DECAYS),
    )  # fmt: skip
    patch: int = setting(0, "pixels", "Side of a patch that leaves the network; 0 takes the paper's.", 0, 1024)
    per_slice: int = setting(0, "", "Patches of a slice and epoch; 0 takes the paper's.", 0, 1_000_000)
    batch: int = setting(0, "", "Patches of a step; 0 takes the paper's.", 0, 1_000_000)
    precision: str = setting(
        "auto", "", "Of the arithmetic; auto takes bfloat16 where the machine has it.",
        choices=("auto", "float32", "bfloat16"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_settings(self)
