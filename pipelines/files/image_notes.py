"""What the metadata of map images say of a scan: its provenance, and counts of what was wrong."""

from collections.abc import Sequence

import ismrmrd

from spokestream.gadgets.map_images import PIXEL_COUNTS

__all__ = ["counts_of_scan", "image_counts", "image_provenance", "integrity_rows"]

PREFIX = "spokestream_"
COUNT = PREFIX + "count_"
OF_ONE_MAP = {"map", "unit", "valid", "codes"}


def image_provenance(images: Sequence[ismrmrd.Image]) -> dict[str, str]:
    """The provenance that the metadata of all images have in common."""
    common = set.intersection(*({(k, v) for k, v in image.meta.items() if isinstance(v, str)} for image in images))
    return {
        key.removeprefix(PREFIX): value
        for key, value in sorted(common)
        if key.startswith(PREFIX) and not key.startswith(COUNT) and key.removeprefix(PREFIX) not in OF_ONE_MAP
    }


def image_counts(image: ismrmrd.Image) -> dict[str, int]:
    """The counts of what was wrong with the slice of a map image, and with its values."""
    return {k.removeprefix(COUNT): int(v) for k, v in image.meta.items() if k.startswith(COUNT)}


def integrity_rows(images: Sequence[ismrmrd.Image]) -> list[dict[str, int | str]]:
    """Map, slice and counts of irregularities, one row for each image."""
    return [
        {"map": str(image.meta["spokestream_map"]), "slice": int(image.slice), **image_counts(image)}
        for image in images
    ]


def counts_of_scan(rows: Sequence[dict[str, int | str]]) -> dict[str, int]:
    """Total counts of a scan by kind. What belongs to a slice is counted once, not once for each of its maps.

    Args:
        rows: map, slice and counts of every image, as in the report.

    """
    of_slices: dict[tuple[int | str, str], int] = {}
    totals: dict[str, int] = {}
    for row in rows:
        for kind, n in row.items():
            if kind in ("map", "slice") or not isinstance(n, int):
                continue
            if kind in PIXEL_COUNTS:
                totals[kind] = totals.get(kind, 0) + n
            else:
                of_slices[row["slice"], kind] = max(n, of_slices.get((row["slice"], kind), 0))
    for (_, kind), n in of_slices.items():
        totals[kind] = totals.get(kind, 0) + n
    return dict(sorted(totals.items()))
