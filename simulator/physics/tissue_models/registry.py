"""The tissue models that exist."""

from collections.abc import Collection

from spokestream.errors import InputError
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

__all__ = ["TISSUE_MODELS", "model_of_maps", "model_of_sequence"]

TISSUE_MODELS: dict[str, TissueModel] = {model.name: model for model in (WATER_FAT, RELAXATION)}
"""All tissue models by name."""


def model_of_sequence(sequence: PulseSequence) -> TissueModel:
    """The first model whose parameters the sequence encodes. Raises InputError with every model's reason if none is."""
    reasons = {model.title: model.refusal(sequence) for model in TISSUE_MODELS.values()}
    for model in TISSUE_MODELS.values():
        if reasons[model.title] is None:
            return model
    raise InputError(" ".join(f"{title}: {reason}" for title, reason in reasons.items()))


def model_of_maps(names: Collection[str]) -> TissueModel:
    """The model with the most parameters among these maps. Raises InputError if none has any."""
    best = max(TISSUE_MODELS.values(), key=lambda model: len(set(model.names) & set(names)))
    if not set(best.names) & set(names):
        raise InputError(f"The maps {', '.join(sorted(names))} are those of no tissue model.")
    return best
