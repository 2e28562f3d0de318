"""Networks that come with the software, and where their archives are."""

from functools import lru_cache
from hashlib import file_digest
from pathlib import Path

from spokestream.errors import InputError
from spokestream.gadgets.imaging.image_kinds import CONSISTENT

__all__ = ["MATCHING", "SEPARATE", "archive_path", "denoiser_path", "has_denoiser", "is_shipped", "shipped_networks"]

FOLDER = Path(__file__).parent
SEPARATE = {"balsiger2020": "b6ab06092eff538755d39c60299fd9b1264ed8077fe07d6d7fa4ed081dd52ab0"}
"""SHA-256 of the archives that are too large for the wheel, by network name. They are part of the source."""

MATCHING = "matching"
"""What made the first maps that a denoiser improves, if that was no network."""


def shipped_networks() -> dict[str, Path]:
    """The archives in this folder, by network name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.pt"))}


def archive_path(network: str) -> Path:
    """The archive of the network with this name.

    Raises InputError, which says what to do, for a name without archive, and for a separate archive that is damaged.
    """
    shipped = shipped_networks()
    if network in shipped:
        _check(network, shipped[network])
        return shipped[network]
    if network in SEPARATE:
        raise InputError(
            f"The archive of the network '{network}' is too large for the installed package; copy "
            f"models/archives/{network}.pt of the source to {FOLDER}, or give its path as `archive`."
        )
    raise InputError(f"There is no network '{network[:64]}'; known are {', '.join(shipped) or 'none'}.")


def is_shipped(network: str, digest: str) -> bool:
    """Whether an archive with a name and a digest (the first digits of its SHA-256) came with the software."""
    path = shipped_networks().get(network)
    return path is not None and _sha256(path).startswith(digest)


def denoiser_path(tissue_model: str, first_maps: str, images: str) -> Path:
    """The denoiser of maps of a tissue model that were first made by `MATCHING`, or by the network of this name.

    Args:
        tissue_model: name of the model.
        first_maps: what made them.
        images: the images in which they were refined, see `DenoiserCard`.

    Raises InputError if there is none.

    """
    if not has_denoiser(tissue_model, first_maps, images):
        instead = "set images=consistent, or " if has_denoiser(tissue_model, first_maps, CONSISTENT) else ""
        raise InputError(
            f"There is no denoiser for maps by {first_maps:.64} in {images} images; {instead}leave out denoise."
        )
    return _denoiser(tissue_model, first_maps, images)


def has_denoiser(tissue_model: str, first_maps: str, images: str) -> bool:
    """Whether there is a denoiser for these maps; see `denoiser_path`."""
    return _denoiser(tissue_model, first_maps, images) in FOLDER.glob("denoisers/*.pt")


def _denoiser(tissue_model: str, first_maps: str, images: str) -> Path:
    return FOLDER / "denoisers" / f"{tissue_model}-{first_maps}-{images}.pt"


def _check(network: str, path: Path) -> None:
    if network in SEPARATE and _sha256(path) != SEPARATE[network]:
        raise InputError(f"{path} is damaged or of another version: its SHA-256 is not {SEPARATE[network]}.")


def _sha256(path: Path) -> str:
    """The SHA-256 of a file; it is computed again when the state of the file has changed."""
    state = path.stat()
    return _digest(path, state.st_mtime_ns, state.st_size)


@lru_cache
def _digest(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
