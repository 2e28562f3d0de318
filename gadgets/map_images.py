"""Parameter maps as images: integers that every scanner can display, with metadata that make them quantitative.

A map is 0 where its quantity has no meaning. The rule is applied to the values as a reader of the images finds them, so
that the images by themselves tell which voxels are valid.
"""

from collections.abc import Iterator

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Float, Mask, ParameterMaps
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.stored_maps.levels import fit_to_scan, stored_ceiling, suits, to_physical, to_stored
from spokestream.gadgets.stored_maps.metadata import image_header, map_metadata
from spokestream.simulator.physics.quantities import QUANTITIES, Quantity, masked

__all__ = ["PIXEL_COUNTS", "PIXEL_TYPES", "MapImages"]

PIXEL_TYPES = ("uint16", "int16", "float32")
PIXEL_COUNTS = ("clipped", "not_a_number")
"""The counts that each map has of its own; all others belong to the slice and are the same for all its maps."""


class MapImages(Gadget[ParameterMaps, ismrmrd.Image]):
    """Makes one image of every map, in the order of the series numbers.

    Args:
        scan: the scan.
        dtype: "uint16" or "int16" for scanners, "float32" for the physical values themselves.

    Raises InputError for another dtype; ScanError if the scan asks for fewer than 12 or more than 16 bits, or if a map
    belongs to no known quantity.

    """

    accepts = (ParameterMaps,)

    def __init__(self, scan: ScanContext, dtype: str = "uint16") -> None:
        if dtype not in PIXEL_TYPES:
            raise InputError(f"Images are {', '.join(PIXEL_TYPES)}, not {dtype[:20]}.")
        self._scan = scan
        self._dtype = np.dtype(dtype)
        self._ceiling = stored_ceiling(scan.header, self._dtype)
        self._fitted: dict[str, Quantity] = {}
        self._rescaled: set[str] = set()

    def feed(self, message: ParameterMaps, /) -> Iterator[ismrmrd.Image]:
        """Make the images of one slice."""
        by_series: dict[int, Quantity] = {}
        for name in message.maps:
            quantity = QUANTITIES.get(name)
            if quantity is None or quantity.series is None:
                raise ScanError(f"A map of unknown kind '{name[:40]}' cannot leave as an image.")
            by_series[quantity.series] = quantity
        for _, quantity in sorted(by_series.items()):
            yield self._image(self._scaled(quantity, message), message)

    def _scaled(self, quantity: Quantity, message: ParameterMaps) -> Quantity:
        """The quantity with a slope; if its declaration has none, the first slice of the scan with values gives it.

        A later slice that does not fit has a slope of its own, which holds for the others if it is brighter.
        """
        if self._dtype.kind == "f" or quantity.slope is not None:
            return quantity
        values = message.maps[quantity.name][message.foreground]
        values = values[np.isfinite(values)]
        fitted = self._fitted.get(quantity.name)
        if fitted is None or not suits(fitted, values, self._ceiling):
            new = fit_to_scan(quantity, values)
            is_fainter = fitted is not None and (new.slope or 0) < (fitted.slope or 0)
            if fitted is not None and quantity.name not in self._rescaled:
                self._rescaled.add(quantity.name)
                self._scan.log.warning(
                    "%s of slice %d, and of others like it, is stored with another scale than before, because its "
                    "values are %s those before.",
                    quantity.title, message.slice + 1, "far below" if is_fainter else "beyond",
                )  # fmt: skip
            if is_fainter or not values.any():
                return new
            self._fitted[quantity.name] = new
        return self._fitted[quantity.name]

    def _valid(self, quantity: Quantity, message: ParameterMaps) -> Mask:
        """The voxels in which the map has a meaning."""
        where = quantity.where
        if where is None or where.quantity not in message.maps:
            return message.foreground
        return np.asarray(masked(where, message.foreground, {where.quantity: self._as_read(where.quantity, message)}))

    def _as_read(self, name: str, message: ParameterMaps) -> Float:
        """The values of a map as a reader of its image finds them."""
        quantity, values = self._scaled(QUANTITIES[name], message), message.maps[name]
        if self._dtype.kind == "f" or quantity.slope is None:
            return values
        levels, _ = to_stored(values, quantity.slope, quantity.offset, self._ceiling)
        return to_physical(levels, quantity.slope, quantity.offset)

    def _image(self, quantity: Quantity, message: ParameterMaps) -> ismrmrd.Image:
        valid = self._valid(quantity, message)
        values = np.where(valid, message.maps[quantity.name], np.float32(0))
        finite = np.isfinite(values)
        values = np.where(finite, values, np.float32(0))
        counts = {**self._scan.integrity.counts(message.slice), "not_a_number": int(np.sum(~finite)), "clipped": 0}
        stored: NDArray[np.generic] = values
        if self._dtype.kind != "f":
            assert quantity.slope is not None
            levels, counts["clipped"] = to_stored(values, quantity.slope, quantity.offset, self._ceiling)
            stored = levels.astype(self._dtype)
        if counts["not_a_number"]:
            self._scan.log.warning(
                "%s of slice %d has %d pixels that are not numbers; they are stored as 0.",
                quantity.title, message.slice + 1, counts["not_a_number"],
            )  # fmt: skip
        image = ismrmrd.Image(head=image_header(quantity, message.geometry, message.slice, stored))
        image.data[0, 0] = stored
        provenance = self._scan.provenance
        if message.inversion_efficiency is not None:
            provenance = {**provenance, "inversion_efficiency": f"{message.inversion_efficiency:.3f}"}
        if message.quality:
            provenance = {**provenance, "quality": message.quality}
        image.meta = map_metadata(quantity, message.geometry, self._dtype, provenance, counts)
        if quantity.codes is not None:
            image.meta["spokestream_codes"] = "; ".join(
                f"{code:.0f} {quantity.codes[int(code)]}" for code in np.unique(values[valid & finite])
            )
        return image
