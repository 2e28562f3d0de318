"""The settings of a training run."""

from dataclasses import dataclass

from spokestream.settings import check_settings, setting

__all__ = ["DECAYS", "NETWORKS", "TARGETS", "VARIANTS", "TrainingSettings"]

NETWORKS = (
    "ours", "balsiger2020", "balsiger2018", "fang2019", "cohen2018", "hoppe2017", "oksuz2019", "song2019",
    "drone",
)  # fmt: skip
"""The networks that can be trained; `spokestream.models.training.recipes` says how."""
DECAYS = ("none", "cosine", "tenfold")
"""Decays of the learning rate: none; to zero along a cosine, after a rise over the first hundredth of the run; to a
ten-thousandth in steps of a tenth."""

TARGETS = {"truth": "the truth", "matching": "the maps of matching"}
"""What a network is trained and validated on -> its name in words."""
VARIANTS = ("paper", "features", "unet", "magnitude", "vectors")
"""Variants of fang2019 (tables III and IV, and Fig. 6 of its paper): as published; its feature extraction alone; its
U-Net alone; with magnitudes; and with coefficients of singular vectors as its features."""


@dataclass(frozen=True)
class TrainingSettings:
    """A training run. Raises InputError, in one sentence, for what cannot be."""

    network: str = setting("ours", meaning="The network to train.", choices=NETWORKS)
    maps: str | None = setting(
        None, meaning="Maps that the network predicts, with commas; by default all of the set's tissue model."
    )
    targets: str = setting(
        "truth",
        meaning="Maps that the network is trained and validated on: the truth, or those that matching finds, as with "
        "patients.",
        choices=tuple(TARGETS),
    )
    seed: int = setting(0, meaning="Seed of the first weights and of all other random numbers.", low=0, high=2**31)
    validation: int = setting(
        10, meaning="Subjects at the end of the set that are held out to choose the best weights.", low=1, high=100_000
    )
    subjects: int | None = setting(
        None, meaning="Subjects to train on, from the start of the set; by default all others.", low=1, high=1_000_000
    )
    draw: int | None = setting(
        None,
        meaning="Number of a random choice of the subjects to train on; by default they are the first of the set.",
        low=0,
        high=2**31,
    )
    receptive_field: int | None = setting(
        None,
        meaning="Side of the patch that ours or balsiger2020 sees, odd; by default 15.",
        unit="pixels",
        low=1,
        high=99,
    )
    parameters: int | None = setting(
        None,
        meaning="Number of parameters of balsiger2020, by default 5,000,000, or the largest of ours.",
        low=1,
        high=1_000_000_000,
    )
    variant: str = setting(
        "paper",
        meaning="Variant of fang2019: its features alone, its U-Net alone, or with magnitudes, or with coefficients of "
        "singular vectors as its features.",
        choices=VARIANTS,
    )
    features: int | None = setting(
        None, meaning="Features that fang2019 computes of a fingerprint; by default 46.", low=1, high=4096
    )
    epochs: int | None = setting(
        None, meaning="How often every slice is used; by default as in the paper.", low=1, high=100_000
    )
    first_epochs: int | None = setting(
        None,
        meaning="Epochs of the first step of networks that are trained in two steps; by default as in the paper.",
        low=1,
        high=100_000,
    )
    learning_rate: float | None = setting(
        None, meaning="Learning rate of Adam; by default that of the paper.", low=1e-9, high=1
    )
    decay: str = setting(
        "paper",
        meaning="Decay of the learning rate; cosine is for runs much shorter than that of the paper.",
        choices=("paper", *DECAYS),
    )
    patch: int | None = setting(
        None,
        meaning="Side of the patch that the network predicts; by default as in the paper.",
        unit="pixels",
        low=1,
        high=1024,
    )
    per_slice: int | None = setting(
        None, meaning="Patches of each slice in an epoch; by default as in the paper.", low=1, high=1_000_000
    )
    batch: int | None = setting(None, meaning="Patches in a batch; by default as in the paper.", low=1, high=1_000_000)
    noise: float = setting(
        0.02,
        meaning="Standard deviation of the noise that is added to the atoms of a dictionary file, over their root mean "
        "square, per real and imaginary part.",
        low=0,
        high=10,
    )
    precision: str = setting(
        "auto",
        meaning="Arithmetic; auto is bfloat16 on machines that have it.",
        choices=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
