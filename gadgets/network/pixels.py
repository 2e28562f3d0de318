"""Whether a scan has the pixels that a network was trained for."""

from spokestream.gadgets.scan.header import ScanHeader

__all__ = ["other_pixels"]

TOLERANCE = 1.1
"""Factor by which pixels may be smaller or larger than all of the training."""


def other_pixels(smallest_mm: float, largest_mm: float, header: ScanHeader) -> str:
    """What pixels a network was trained for, and what those of a scan are; an empty text if these are no others.

    Args:
        smallest_mm: the smallest pixels of the training.
        largest_mm: the largest ones.
        header: of the scan.

    """
    for fov_mm, pixels in zip(header.recon_fov_mm[:2], header.recon_matrix[:2], strict=True):
        pixel = fov_mm / pixels
        if not smallest_mm / TOLERANCE <= pixel <= largest_mm * TOLERANCE:
            trained = f"{smallest_mm:.3g}" if smallest_mm == largest_mm else f"{smallest_mm:.3g} to {largest_mm:.3g}"
            return f"pixels of {trained} mm, and this scan has pixels of {pixel:.3g} mm"
    return ""
