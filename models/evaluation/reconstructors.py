"""What turns fingerprints into maps, made ready to be evaluated: matching, or a network archive."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Fingerprints, ParameterMaps
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.models.archives import archive_path
from spokestream.simulator.physics.dictionaries.water_fat import Dictionary

__all__ = ["MATCHING", "Reconstructor", "reconstructor"]

MATCHING = "matching"


@dataclass(frozen=True, eq=False)
class Reconstructor:
    """One way to get maps."""

    name: str
    make: Callable[[Dictionary], Gadget[Fingerprints, ParameterMaps]]
    """The gadget, for the sequence of this dictionary."""
    network: str = ""
    """Which of the networks of this software it is; empty for matching and networks from elsewhere."""
    learnt: frozenset[int] = frozenset()
    """Subjects that it has seen, in training or to choose its weights."""
    demodulation_hz: float | None = None
    """That the node uses for it; None takes any."""
    about: dict[str, Any] = field(default_factory=dict)
    """Digest, precision, how it was trained."""


def reconstructor(what: str, device: str = "auto", precision: str = "auto") -> Reconstructor:
    """Matching, or the network of an archive.

    Args:
        what: `matching`, the path of an archive, or the name of one that comes with the software.
        device: of a network, as in `spokestream.gadgets.network.tiled_network.TiledNetwork`.
        precision: likewise.

    Raises ValueError for anything else.

    """
    if what == MATCHING:
        return Reconstructor(MATCHING, DictionaryMatching, about={"kind": "dictionary matching, closed form"})
    path = Path(what) if what.endswith(".pt") else archive_path(what)
    network = TiledNetwork(load_archive(path), device, precision)
    contract = network.contract
    training = contract.training
    return Reconstructor(
        contract.name,
        lambda _: NetworkInference(network),
        training.get("settings", {}).get("network", ""),
        frozenset(seed for part in ("learnt", "validated") for seed in training.get(part, ())),
        contract.demodulation_hz,
        {
            "kind": "network",
            "description": contract.description,
            "digest": network.digest,
            "device": network.device.type,
            "precision": str(network.precision).removeprefix("torch."),
            "training": training,
            "versions": contract.versions,
        },
    )
