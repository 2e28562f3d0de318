"""Provisional images: how an image says that its map was computed before the slice was complete."""

import ismrmrd

__all__ = ["PROVISIONAL", "PROVISIONAL_SERIES", "is_provisional", "mark_provisional"]

PROVISIONAL = "provisional"
"""Entry of the provenance that only provisional maps have: how many spokes they were computed from."""
PROVISIONAL_SERIES = 2000
"""Added to the series number of a map. Series of final maps, and of the two kinds of DICOM files, are below it."""


def mark_provisional(image: ismrmrd.Image, number: int) -> ismrmrd.Image:
    """Give the image of a map a series of its own, and say in its comments that it is provisional.

    Args:
        image: the image, whose metadata have the entry `spokestream_provisional`. It is changed.
        number: how many images of this map were marked before, which gives `image_index`.

    """
    image.image_series_index += PROVISIONAL_SERIES
    image.image_index = number + 1
    meta = image.meta
    for key in ("ImageComments", "GADGETRON_ImageComment"):
        meta[key] = f"Provisional, {meta[f'spokestream_{PROVISIONAL}']}: {meta[key]}"
    meta["SequenceDescriptionAdditional"] += "_provisional"
    image.meta = meta
    return image


def is_provisional(image: ismrmrd.Image) -> bool:
    """Whether the map of an image is provisional."""
    return image.image_series_index >= PROVISIONAL_SERIES and f"spokestream_{PROVISIONAL}" in image.meta
