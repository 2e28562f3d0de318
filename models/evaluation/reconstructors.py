"""Reconstructors, which compute maps from fingerprints and can be evaluated: matching, or the network of an archive."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spokestream.errors import FileError
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

__all__ = ["AS_IN_NODE", "MATCHING", "REFINED", "Origin", "Reconstructor", "again", "reconstructor"]

MATCHING = "matching"
REFINED, AS_IN_NODE = ", refine=on", ", refine=auto"
"""Ends of the name of a reconstructor whose maps are refined as by this setting of the node; auto is its default."""


@dataclass(frozen=True)
class Origin:
    """What another process needs to know to make the same reconstructor."""

    what: str
    """`matching`, the absolute path of an archive, or the name of an archive that comes with the software;
    `REFINED` or `AS_IN_NODE` may follow."""
    device: str
    precision: str
    digest: str = ""
    """The digest of the archive, if there is one."""


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
    images: str | None = None
    """Images that it was trained on, `adjoint` or `iterative`; None means that any are possible."""
    demodulation_hz: float | None = None
    """Demodulation frequency that the node uses for it; None means that any is possible."""
    about: dict[str, Any] = field(default_factory=dict)
    """Digest, precision, and description of the training."""
    origin: Origin | None = None
    """None for a reconstructor that a program made, which cannot be given to another process."""
    refine: str = "off"
    """How an evaluation refines the maps: `off`, `on` or `auto`, as by the setting of the node."""


def reconstructor(what: str, device: str = "auto", precision: str = "auto") -> Reconstructor:
    """The reconstructor with a name: matching, or the network of an archive, and how its maps are refined.

    Args:
        what: `matching`, the path of an archive, or the name of an archive that comes with the software. With
            `REFINED` or `AS_IN_NODE` at its end, the maps are refined.
        device: device of a network; see `TiledNetwork`.
        precision: precision of a network; see `TiledNetwork`.

    Raises InputError for an unknown name, device or precision, and FileError if the archive cannot be read.

    """
    for end in (REFINED, AS_IN_NODE):
        if what.endswith(end):
            return _refined(reconstructor(what.removesuffix(end), device, precision), end)
    if what == MATCHING:
        about = {"kind": "dictionary matching, closed form"}
        return Reconstructor(MATCHING, DictionaryMatching, about=about, origin=Origin(what, device, precision))
    path = Path(what) if what.endswith(".pt") else archive_path(what)
    network = TiledNetwork(load_archive(path), device, precision)
    contract, number_type = network.contract, str(network.precision).removeprefix("torch.")
    anywhere = str(path.absolute()) if what.endswith(".pt") else what
    training = contract.training
    return Reconstructor(
        contract.name,
        lambda scan, model, dictionary: NetworkInference(scan, network),
        training.get("settings", {}).get("network", ""),
        frozenset(seed for part in ("learnt", "validated") for seed in training.get(part, ())),
        contract.images,
        contract.demodulation_hz,
        {
            "kind": "network",
            "description": contract.description,
            "digest": network.digest,
            "device": network.device.type,
            "precision": number_type,
            "training": training,
            "versions": contract.versions,
        },
        Origin(anywhere, network.device.type, number_type, network.digest),
    )


def _refined(first: Reconstructor, end: str) -> Reconstructor:
    """The reconstructor with the refinement of its maps, and this end of its name."""
    assert first.origin is not None
    refine = end.rpartition("=")[2]
    return replace(
        first,
        name=first.name + end,
        refine=refine,
        about=first.about | {"refine": refine},
        origin=replace(first.origin, what=first.origin.what + end),
    )


def again(origin: Origin) -> Reconstructor:
    """The reconstructor in another process, with the same device and precision.

    Raises InputError if the machine does not have the device, and FileError if the archive is another one there.
    """
    made = reconstructor(origin.what, origin.device, origin.precision)
    if made.origin != origin:
        raise FileError(f"A worker finds another network as {origin.what}; workers must see the same files.")
    return made
