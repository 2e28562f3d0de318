"""The maps of a scan that is still running: those of complete slices, and provisional ones of the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import SpokestreamError
from spokestream.gadgets.stored_maps.provisional import PROVISIONAL, PROVISIONAL_SERIES, is_provisional
from spokestream.pipelines.files.outputs import scan_maps
from spokestream.pipelines.map_panels.shown_scan import ShownScan

__all__ = ["GrowingMaps", "MapsSoFar"]

KEY = f"spokestream_{PROVISIONAL}"


@dataclass
class GrowingMaps:
    """The images of one scan, as they come."""

    final: list[ismrmrd.Image] = field(default_factory=list)
    provisional: dict[int, list[ismrmrd.Image]] = field(default_factory=dict)
    """Slice -> its newest provisional images."""
    given_up: bool = False
    """Whether the images were too large, so that none are kept."""

    @property
    def n_bytes(self) -> int:
        """Bytes of all images."""
        return sum(image.data.nbytes for images in (self.final, *self.provisional.values()) for image in images)

    def give_up(self) -> None:
        """Keep no image of this scan, because a part of it is misleading."""
        self.given_up = True
        self.final.clear()
        self.provisional.clear()

    def add(self, image: ismrmrd.Image) -> None:
        """Keep an image, unless those of the scan were given up."""
        if self.given_up:
            return
        if is_provisional(image):
            newest = self.provisional.get(image.slice, [])
            alike = newest and newest[0].meta[KEY] == image.meta[KEY]
            self.provisional[image.slice] = [*(newest if alike else []), image]
            return
        self.provisional.pop(image.slice, None)
        self.final.append(image)

    def slices(self) -> list[list[ismrmrd.Image]]:
        """The images of every slice that has any, in the order of the slices."""
        found: dict[int, list[ismrmrd.Image]] = {number: list(images) for number, images in self.provisional.items()}
        for image in self.final:
            found.setdefault(image.slice, []).append(image)
        return [found[number] for number in sorted(found)]


@dataclass(frozen=True)
class MapsSoFar:
    """The maps of a running scan as the page shows them."""

    about: dict[str, Any]
    """What `ShownScan.as_json` gives. For provisional maps, `provisional` of a slice says from how many spokes they
    are; it is empty for final maps."""
    volumes: dict[str, NDArray[np.float32]]

    @classmethod
    def of(cls, slices: Sequence[Sequence[ismrmrd.Image]]) -> "MapsSoFar | None":
        """The maps that all slices have; None if there are none. Final slices have more maps than provisional ones."""
        common = set.intersection(*({image.meta.get("spokestream_map") for image in images} for images in slices)) - {
            None
        }
        if not common:
            return None
        words = [images[0].meta.get(KEY, "") if is_provisional(images[0]) else "" for images in slices]
        images = [_as_final(image) for of_slice in slices for image in of_slice]
        images = [image for image in images if image.meta.get("spokestream_map") in common]
        try:
            shown = ShownScan.from_maps(scan_maps(images))
            about = shown.as_json()
        except (SpokestreamError, ValueError):
            return None  # the history will say why
        for where, word in zip(about["slices"], words, strict=True):
            where["provisional"] = word
        return cls(about, shown.volumes)


def _as_final(image: ismrmrd.Image) -> ismrmrd.Image:
    """A provisional image as one of the series of final maps, so that both are slices of one map."""
    if not is_provisional(image):
        return image
    copy = ismrmrd.Image(head=image.getHead(), data=image.data)
    copy.image_series_index -= PROVISIONAL_SERIES
    copy.meta = ismrmrd.Meta({key: value for key, value in image.meta.items() if key != KEY})
    return copy
