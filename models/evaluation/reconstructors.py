"""Reconstructors, which compute maps from fingerprints and can be evaluated: matching, or the network of an archive."""

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
from spokestream.gadgets.scan.context import ScanContext
from spokestream.models.archives import archive_path
from spokestream.simulator.physics.dictionaries.match import Dictionary
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["MATCHING", "Reconstructor", "reconstructor"]

MATCHING = "matching"


@dataclass(frozen=True, eq=False)
class Reconstructor:
    """A method that computes maps from fingerprints."""

    name: str
    make: Callable[[ScanContext, TissueModel, Dictionary], Gadget[Fingerprints, ParameterMaps]]
    """A function that builds the gadget for a scan with the sequence of the dictionary."""
    network: str = ""
    """Name among the networks of this software; empty for matching and for other networks."""
    trained_on: frozenset[int] = frozenset()
    """Subjects that were used for training or validation."""
    demodulation_hz: float | None = None
    """Demodulation frequency that the node uses for it; None means that any is possible."""
    about: dict[str, Any] = field(default_factory=dict)
    """Digest, precision, and description of the training."""


def reconstructor(what: str, device: str = "auto", precision: str = "auto") -> Reconstructor:
    """The reconstructor with a name: matching, or the network of an archive.

    Args:
        what: `matching`, the path of an archive, or the name of an archive that comes with the software.
        device: device of a network; see `TiledNetwork`.
        precision: precision of a network; see `TiledNetwork`.

    Raises InputError for an unknown name, device or precision, and FileError if the archive cannot be read.

    """
    if what == MATCHING:
        return Reconstructor(MATCHING, DictionaryMatching, about={"kind": "dictionary matching, closed form"})
    path = Path(what) if what.endswith(".pt") else archive_path(what)
    network = TiledNetwork(load_archive(path), device, precision)
    contract = network.contract
    training = contract.training
    return Reconstructor(
        contract.name,
        lambda scan, model, dictionary: NetworkInference(scan, network),
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
