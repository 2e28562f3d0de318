"""Phantoms: a subject's anatomy on a grid of pixels, with partial volumes."""

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError
from spokestream.simulator.phantoms.anatomies.abdomen import ABDOMEN
from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy
from spokestream.simulator.phantoms.anatomies.brain import BRAIN
from spokestream.simulator.phantoms.anatomies.calf import CALF
from spokestream.simulator.phantoms.anatomies.nist import NIST
from spokestream.simulator.phantoms.anatomies.pelvis import PELVIS
from spokestream.simulator.phantoms.anatomies.shoulder import SHOULDER
from spokestream.simulator.phantoms.anatomies.squares import SQUARES
from spokestream.simulator.phantoms.anatomies.thigh import THIGH
from spokestream.simulator.phantoms.cross_section import CrossSection
from spokestream.simulator.phantoms.fields import LEVEL_MM, SmoothField
from spokestream.simulator.phantoms.phantom import Phantom
from spokestream.simulator.phantoms.subject import Subject, draw_subject
from spokestream.simulator.phantoms.tissues import Tissue

__all__ = ["ANATOMIES", "DEFAULT_FOV_MM", "MM_PER_LEVEL", "render", "thigh"]

Float = NDArray[np.float32]

SUPERSAMPLING = 3
LARGEST_FF = 0.97

MODELS: dict[str, Anatomy] = {
    "thigh": THIGH, "calf": CALF, "shoulder": SHOULDER, "pelvis": PELVIS, "abdomen": ABDOMEN,
    "brain": BRAIN, "nist": NIST, "squares": SQUARES,
}  # fmt: skip
ANATOMIES = {name: anatomy.about for name, anatomy in MODELS.items()}
"""Name -> description of every anatomy."""
DEFAULT_FOV_MM = {name: anatomy.fov_mm for name, anatomy in MODELS.items()}
"""Name -> field of view that is large enough for everybody."""
MM_PER_LEVEL = {name: anatomy.level_mm for name, anatomy in MODELS.items()}
"""Name -> length of one unit of level along the body."""


def render(
    anatomy: str, subject: Subject, level: float = 0.0, matrix: int = 350, fov_mm: float | None = None
) -> Phantom:
    """One slice through a person or test object. The body does not depend on the grid.

    Args:
        anatomy: one of `ANATOMIES`.
        subject: the person.
        level: position along the anatomy, -1 (towards the feet) .. 1 (towards the head); bodies vary smoothly with it.
        matrix: pixels along y and x.
        fov_mm: field of view; by default that of `DEFAULT_FOV_MM`.

    Raises InputError for an unknown anatomy, an empty matrix, a field of view that is not positive or a level
    outside -1..1.

    """
    if anatomy not in MODELS:
        raise InputError(f"There is no anatomy '{anatomy}'; there are {', '.join(MODELS)}.")
    model = MODELS[anatomy]
    fov_mm = model.fov_mm if fov_mm is None else fov_mm
    if matrix < 1 or not 0 < fov_mm < np.inf:
        raise InputError(f"A phantom needs a positive matrix and field of view, got {matrix} and {fov_mm:g} mm.")
    if not -1 <= level <= 1:
        raise InputError(f"The level along the body lies between -1 and 1, got {level:g}.")
    fine = _axis(matrix, fov_mm, SUPERSAMPLING)
    section = model.cross_section(subject, level, fine)
    place = level * model.level_mm / LEVEL_MM
    deltaf, b1 = model.field_maps(subject, place, _axis(matrix, fov_mm, 1))
    middle = slice(SUPERSAMPLING // 2, None, SUPERSAMPLING)
    return Phantom(
        **_average(section.label, _parameters(section, subject, place, fine, model.texture_mm)),
        deltaf=deltaf,
        b1=b1,
        label=section.label[middle, middle].copy(),
        label_names=section.names,
        purity=_purity(section.label),
        fov_mm=fov_mm,
    )


def thigh(matrix: int = 350, fov_mm: float = 350.0, seed: int = 0, level: float = 0.0) -> Phantom:
    """Both thighs of patient number `seed`; see `render`."""
    return render("thigh", draw_subject("patients", seed), level, matrix, fov_mm)


def _axis(matrix: int, fov_mm: float, supersampling: int) -> Float:
    """Coordinates in mm of `supersampling` points in every pixel, 0 at the centre of pixel matrix // 2."""
    point = (np.arange(matrix * supersampling) - supersampling // 2) / supersampling
    return ((point - matrix // 2) * fov_mm / matrix).astype(np.float32)


def _parameters(
    section: CrossSection, subject: Subject, level: float, axis: Float, texture_mm: tuple[float, ...]
) -> dict[str, Float]:
    """The parameters of every point: the mean of its tissue plus fields that vary within the tissue."""
    table = {name: np.array([getattr(t, name) for t in section.tissues], np.float32) for name in Tissue.__annotations__}
    value = {name: column[section.label] for name, column in table.items()}
    coarse, streaks, lipid, *octaves = (
        SmoothField(subject.rng("texture", str(correlation_mm)), correlation_mm)(axis, axis, level)
        for correlation_mm in (12.0, 3.0, 40.0, *texture_mm)
    )
    water = np.sum(octaves, axis=0) / np.float32(np.sqrt(len(octaves)))
    ff = value["ff"] + value["ff_spread"] * (0.7 * coarse + 0.7 * streaks)
    # clipped, so that variation never makes a mixed tissue pure
    return {
        "pd": value["pd"] * (1 + 0.02 * water),
        "ff": np.clip(ff, np.minimum(value["ff"], 0.01), np.maximum(value["ff"], LARGEST_FF)),
        "t1h2o": value["t1h2o"] + value["t1h2o_spread"] * water,
        "t2h2o": value["t2h2o"] + value["t2h2o_spread"] * water,
        "t1fat": value["t1fat"] + value["t1fat_spread"] * lipid,
    }


def _purity(label: NDArray[np.uint8]) -> Float:
    """The fraction of the points of every pixel that have the label of the pixel's centre."""
    pixels = label.reshape(len(label) // SUPERSAMPLING, SUPERSAMPLING, -1, SUPERSAMPLING)
    centre = pixels[:, SUPERSAMPLING // 2, :, SUPERSAMPLING // 2]
    return np.asarray((pixels == centre[:, None, :, None]).mean((1, 3)), np.float32)


def _average(label: NDArray[np.uint8], fine: dict[str, Float]) -> dict[str, Float]:
    """The means over the points of every pixel, weighted by proton density; T1 and T2 by that of their own pool."""
    pd, ff = np.where(label == 0, 0, fine["pd"]), fine["ff"]
    water, fat = pd * (1 - ff), pd * ff

    def mean(values: Float) -> Float:
        n = len(values) // SUPERSAMPLING
        return np.asarray(values.reshape(n, SUPERSAMPLING, n, SUPERSAMPLING).mean((1, 3)), np.float32)

    def ratio(a: Float, b: Float) -> Float:
        return np.divide(mean(a), mean(b), out=np.zeros_like(mean(b)), where=mean(b) > 0)

    return {
        "pd": mean(pd),
        "ff": ratio(fat, pd),
        "t1h2o": ratio(water * fine["t1h2o"], water),
        "t2h2o": ratio(water * fine["t2h2o"], water),
        "t1fat": ratio(fat * fine["t1fat"], fat),
    }
