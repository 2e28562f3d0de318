"""The pose of a phantom in a slice: shift, rotation, size, and whether it is seen from its other side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spokestream.pipelines.acceptance.layouts.layout import Vial

__all__ = ["PixelGrid", "Pose", "centres_mm"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class PixelGrid:
    """The pixels of a slice. Places are in mm from the middle of the picture, x to the right and y downwards."""

    rows: int
    columns: int
    pixel_mm: tuple[float, float]
    """Height and width of a pixel."""

    def axes_mm(self) -> tuple[Float, Float]:
        """The places y (rows,) and x (columns,) of the pixels' centres; that of pixel n // 2 is 0."""
        height, width = self.pixel_mm
        y: Float = (np.arange(self.rows) - self.rows // 2) * np.float64(height)
        x: Float = (np.arange(self.columns) - self.columns // 2) * np.float64(width)
        return y, x

    def indices(self, places_mm: Float) -> Float:
        """Rows and columns (2, ...), with fractions, of places (..., 2) in mm as x and y."""
        height, width = self.pixel_mm
        rows, columns = places_mm[..., 1] / height, places_mm[..., 0] / width
        return np.asarray(np.stack([rows + self.rows // 2, columns + self.columns // 2]))

    def offsets(self, places_mm: Float) -> NDArray[np.intp]:
        """The nearest whole numbers of rows and columns (2, places) from the middle of the picture."""
        middle = np.array([self.rows // 2, self.columns // 2])
        return np.asarray(np.rint(self.indices(places_mm)).astype(np.intp) - middle[:, None])


@dataclass(frozen=True)
class Pose:
    """How a layout is moved to lie over a slice."""

    x_mm: float = 0.0
    y_mm: float = 0.0
    """Shift of the middle of the vials, to the right and downwards."""
    angle_deg: float = 0.0
    """Rotation about the middle of the vials, from the right to the bottom of the picture."""
    mirrored: bool = False
    """Whether left and right are exchanged before the rotation."""
    size: float = 1.0
    """Distances in the slice over those of the layout."""

    def place(self, layout_mm: Float) -> Float:
        """Places (..., 2) in the slice, in mm, of places (..., 2) relative to the middle of the vials."""
        flip = np.array([-1.0 if self.mirrored else 1.0, 1.0])
        c, s = np.cos(np.deg2rad(self.angle_deg)), np.sin(np.deg2rad(self.angle_deg))
        turned = (layout_mm * flip * self.size) @ np.array([[c, s], [-s, c]])
        return np.asarray(turned + np.array([self.x_mm, self.y_mm]))


def centres_mm(vials: Sequence[Vial]) -> Float:
    """The centres (vials, 2) of vials, x and y, relative to their middle."""
    places = np.array([(vial.x_mm, vial.y_mm) for vial in vials])
    return np.asarray(places - (places.min(0) + places.max(0)) / 2)
