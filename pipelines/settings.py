"""Settings of the pipelines, and a site's file of settings."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from spokestream.errors import FileError, InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, ITERATIVE, images_setting
from spokestream.gadgets.imaging.sliding_window import stride_setting, window_setting
from spokestream.gadgets.matching.matcher_names import MATCHERS
from spokestream.gadgets.network.device import DEVICES, PRECISIONS
from spokestream.gadgets.scan.header_sequence import LONGEST_TRAIN
from spokestream.settings import check_settings, declarations, setting

__all__ = [
    "AUTO",
    "SETTINGS",
    "AutoSettings",
    "NetworkSettings",
    "StreamSettings",
    "T1FFNetSettings",
    "T1FFSettings",
    "T1T2NetSettings",
    "T1T2Settings",
    "read_site_file",
]


@dataclass(frozen=True)
class StreamSettings:
    """The settings that all pipelines share: from readouts to gridded images, and from maps to their images.

    This class and those that extend it raise InputError for values that are not allowed.
    """

    sequence: str | None = setting(
        None,
        meaning="Preset, or TOML or Pulseq file, whatever the header says; else by the header, else t1ff-2d-1400.",
        peer=True,
    )
    virtual_coils: int = setting(
        8, meaning="Virtual coils to which the coil array is compressed.", low=1, high=64, peer=True
    )
    trajectory: str = setting(
        "auto",
        meaning="Embedded, else golden angle (auto); radians in user_float[0] (angle); by index of the spoke (golden).",
        choices=("auto", "angle", "golden"),
        peer=True,
    )
    delays: str = setting(
        "auto",
        meaning="Whether delays of the gradients are found from the first spokes of a slice, and corrected.",
        choices=("auto", "off"),
        peer=True,
    )
    conjugate: str = setting(
        "auto",
        meaning="Whether the samples are complex conjugates; auto decides from the fingerprints of the first slice, "
        "but not for T1 and T2, whose signals are real.",
        choices=("auto", "yes", "no"),
        peer=True,
    )
    integrity: str = setting(
        "warn",
        meaning="Whether an irregular spoke is a warning or ends the scan.",
        choices=("warn", "strict"),
        peer=True,
    )
    max_missing: float = setting(
        0.1, meaning="Fraction of a slice's spokes that may be missing or damaged.", low=0, high=0.9, peer=True
    )
    refine: str = setting(
        "auto",
        meaning="Whether maps are refined, with standard deviations; auto does so in mrf_t1ff if basis=compressed, "
        "and for slices of which the signal contradicts a T1-FF network. Unless it is off, T1 and T2 of matching are "
        "corrected for the inversion and B1 of the slice.",
        choices=("auto", "on", "off"),
        peer=True,
    )
    denoise: str = setting(
        "auto",
        meaning="Whether refined maps are denoised, by a network that sees maps and what the signal says about them, "
        "for any train; auto does so if there is one for maps of this kind and pixels of this size.",
        choices=("auto", "on", "off"),
        peer=True,
    )
    datatype: str = setting(
        "uint16", meaning="Pixel type of the maps.", choices=("uint16", "int16", "float32"), peer=True
    )
    provisional: int = setting(
        0,
        meaning="Provisional maps of an incomplete slice are sent after every so many spokes; 0 is never.",
        unit="spokes",
        low=0,
        high=LONGEST_TRAIN,
        peer=True,
    )
    threads: int = setting(2, meaning="CPU threads of one scan.", low=1, high=256)
    device: str = setting(
        "auto",
        meaning="Where networks, matching, iterative and consistent images run; auto is CUDA where there is one.",
        choices=DEVICES,
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class MatchingSettings(StreamSettings):
    """The settings that pipelines by dictionary matching share."""

    inverts_by_itself: ClassVar[bool] = False
    """Whether `images=auto` means iterative images, because they make every map better."""

    dictionary: Path | None = setting(
        None, meaning="Dictionary file (HDF5); without one, atoms are computed when a scan starts."
    )
    matcher: str = setting(
        "auto",
        meaning="How the dictionary is searched: exact; promising or clusters with two pools; or the others with one. "
        "auto is promising for water and fat that are refined afterwards, else exact.",
        choices=("auto", *MATCHERS),
        peer=True,
    )
    images: str = images_setting()
    basis: str = setting(
        "compressed",
        meaning="Temporal images that are gridded: weighted sums, single frames, or means of a sliding window.",
        choices=("compressed", "frames", "window"),
        peer=True,
    )
    window: int = window_setting()
    stride: int = stride_setting()

    @property
    def kind_of_images(self) -> str:
        """The kind that `images` asks for, if nothing in the scan is against it."""
        if self.images != "auto":
            return self.images
        return ITERATIVE if self.inverts_by_itself and self.basis == "compressed" else ADJOINT

    @property
    def inverts(self) -> bool:
        """Whether images are others than those of the adjoint, if nothing in the scan is against it."""
        return self.kind_of_images != ADJOINT


@dataclass(frozen=True)
class T1FFSettings(MatchingSettings):
    """Settings of the pipeline `mrf_t1ff`: MRF T1-FF by dictionary matching."""

    demodulation_hz: float = setting(
        200.0,
        meaning="Receiver frequency during the readout below that of water, best midway to that of fat, at 2.89 T.",
        unit="Hz",
        low=-600,
        high=600,
        peer=True,
    )


@dataclass(frozen=True)
class NetworkSettings(StreamSettings):
    """Settings of the pipelines that map by a network."""

    default_network: ClassVar[str]
    """Name of the network that the pipeline uses if none is named."""

    network: str | None = setting(
        None, meaning="Name of a network that comes with the software; by default that of the pipeline.", peer=True
    )
    images: str = images_setting()
    archive: Path | None = setting(None, meaning="Network archive (.pt) to use instead of a network by name.")
    precision: str = setting(
        "auto",
        meaning="Arithmetic of the network; auto is half precision on CUDA, and on CPUs bfloat16 where it is faster.",
        choices=PRECISIONS,
    )


@dataclass(frozen=True)
class T1FFNetSettings(NetworkSettings):
    """Settings of the pipeline `mrf_t1ff_net`: MRF T1-FF by a network."""

    default_network = "ours"


@dataclass(frozen=True)
class T1T2NetSettings(NetworkSettings):
    """Settings of the pipeline `mrf_t1t2_net`: T1 and T2 by a network."""

    default_network = "ours-fisp-576"


@dataclass(frozen=True)
class T1T2Settings(MatchingSettings):
    """Settings of the pipeline `mrf_t1t2`: T1 and T2 by dictionary matching."""

    inverts_by_itself = True


@dataclass(frozen=True)
class AutoSettings(T1FFSettings, T1FFNetSettings, T1T2Settings):
    """Settings of a scan that does not name its pipeline: those of all pipelines."""


SETTINGS: dict[str, type[StreamSettings]] = {
    "mrf_t1ff": T1FFSettings,
    "mrf_t1ff_net": T1FFNetSettings,
    "mrf_t1t2": T1T2Settings,
    "mrf_t1t2_net": T1T2NetSettings,
}
"""The settings class of every pipeline, by the name of the pipeline."""
AUTO = "auto"
"""The name by which a scan asks for the pipeline that its sequence needs, see `spokestream.pipelines.selection`."""


def read_site_file(path: Path, *settings: type[Any]) -> dict[str, Any]:
    """Values from a site's TOML file: one `name = value` a setting, without tables.

    Args:
        path: the file.
        settings: the settings classes that the file may set.

    Raises FileError for a file that is not TOML, unknown names and values that are not allowed, and OSError.

    """
    known = {name: d for kind in settings for name, d in declarations(kind).items()}
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise FileError(f"{path} is not a TOML file: {error}.") from None
    typed = {}
    for name, given in values.items():
        if name not in known:
            raise FileError(f"{path}: there is no setting '{name}'; known are {', '.join(known)}.")
        try:
            typed[name] = known[name].read(given)
            known[name].check(typed[name])
        except InputError as error:
            raise FileError(f"{path}: {error}") from None
    return typed
