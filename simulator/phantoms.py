"""Digital phantoms: maps of tissue parameters that a scan can be simulated from, and compared with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator import thigh as anatomy
from simulator.fields import SmoothField

__all__ = ["MAP_UNITS", "Phantom", "thigh"]

Float = NDArray[np.float32]

MAP_UNITS = {"pd": "1", "ff": "1", "t1h2o": "ms", "t1fat": "ms", "deltaf": "Hz", "b1": "1"}
"""The maps of a phantom and their units."""

SUPERSAMPLING = 3
LEG_RADIUS_MM = 76.0


@dataclass(frozen=True, eq=False)
class Phantom:
    """One slice: float32 maps (y, x); row 0 is anterior, column 0 the patient's right, pixel n//2 the centre."""

    pd: Float
    """Proton density, about 1 in fat and 0 in air."""
    ff: Float
    """Fat fraction 0..1 of the proton density."""
    t1h2o: Float
    """T1 of water, ms; 0 where there is no tissue."""
    t1fat: Float
    """T1 of fat, ms; 0 where there is no tissue."""
    deltaf: Float
    """Off-resonance, Hz."""
    b1: Float
    """Flip angle over nominal."""
    label: NDArray[np.uint8]
    """Tissue at the pixel's centre: index into `label_names`."""
    label_names: tuple[str, ...]
    fov_mm: float


@dataclass(frozen=True)
class Tissue:
    """Mean parameters of a tissue and how much they vary within it (1 sd of a smooth field)."""

    pd: float
    ff: float
    t1h2o: float
    t1fat: float = 345.0
    ff_spread: float = 0.0
    t1h2o_spread: float = 0.0
    t1fat_spread: float = 8.0


TISSUES = {
    "air": Tissue(0, 0, 1, 1, t1fat_spread=0),
    "skin": Tissue(0.55, 0.15, 950),
    "subcutaneous fat": Tissue(1.00, 0.93, 900, 350, ff_spread=0.008),
    "fascia": Tissue(0.45, 0.35, 1000),
    "intermuscular fat": Tissue(0.95, 0.86, 1050, 350, ff_spread=0.02),
    "cortical bone": Tissue(0.03, 0.20, 800),
    "bone marrow": Tissue(0.92, 0.90, 1000, 325, ff_spread=0.015),
    "blood": Tissue(0.85, 0.01, 1750),
    "nerve": Tissue(0.75, 0.30, 1250),
}

MUSCLE_PD = 0.80
INVOLVEMENT = {
    "rectus femoris": 0.35, "vastus intermedius": 0.30, "vastus lateralis": 0.40, "vastus medialis": 0.25,
    "sartorius": 0.15, "adductor longus": 0.10, "adductor magnus": 0.50, "gracilis": 0.05, "semimembranosus": 0.65,
    "semitendinosus": 0.40, "biceps femoris, long head": 0.60, "biceps femoris, short head": 0.30,
}  # fmt: skip
"""How likely a dystrophy replaces the muscle by fat, 0..1: some muscles are selectively spared."""


def thigh(matrix: int = 350, fov_mm: float = 350.0, seed: int = 0, level: float = 0.0) -> Phantom:
    """Both thighs of a patient with graded fatty infiltration and oedema.

    Args:
        matrix: pixels along y and x.
        fov_mm: field of view; the legs span about 325 mm.
        seed: the patient; muscles are involved differently, the anatomy stays.
        level: place along the thigh, -1 (towards the knee) .. 1 (towards the hip); everything varies smoothly.

    Raises ValueError for an empty matrix, a field of view that is not positive or a level outside -1..1.

    """
    if matrix < 1 or not fov_mm > 0:
        raise ValueError(f"A phantom needs a positive matrix and field of view, got {matrix} and {fov_mm:g} mm.")
    if not -1 <= level <= 1:
        raise ValueError(f"The level along the thigh lies between -1 and 1, got {level:g}.")
    rng = np.random.default_rng(seed)
    fine = _axis(matrix, fov_mm, SUPERSAMPLING)
    label = _tissue_labels(fine, level, rng)
    maps = {name: np.zeros((matrix, matrix), np.float32) for name in MAP_UNITS}
    maps |= _average(label, _tissue_parameters(label, fine, level, rng))
    coarse = _axis(matrix, fov_mm, 1)
    maps["deltaf"], maps["b1"] = _field_maps(coarse, level, rng)
    middle = slice(SUPERSAMPLING // 2, None, SUPERSAMPLING)
    return Phantom(**maps, label=label[middle, middle].copy(), label_names=anatomy.TISSUE_NAMES, fov_mm=fov_mm)


def _axis(matrix: int, fov_mm: float, supersampling: int) -> Float:
    """Coordinates in mm of `supersampling` points in every pixel, 0 at the centre of pixel matrix // 2."""
    point = (np.arange(matrix * supersampling) - supersampling // 2) / supersampling
    return ((point - matrix // 2) * fov_mm / matrix).astype(np.float32)


def _tissue_labels(axis: Float, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    label = np.zeros((len(axis), len(axis)), np.uint8)
    for side, sign in enumerate((-1, 1)):
        field = SmoothField(rng, correlation_mm=22.0)
        size = LEG_RADIUS_MM * (1 + 0.015 * rng.standard_normal()) * (1 + 0.06 * level)
        center_x, center_y = sign * 85.0, 2.5 * rng.standard_normal()
        rows, columns = (np.flatnonzero(np.abs(axis - c) < 1.15 * size) for c in (center_y, center_x))
        if not (rows.size and columns.size):
            continue
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        y, x = axis[box[0]], axis[box[1]]
        medial, anterior = np.broadcast_arrays(-sign * (x - center_x)[None, :], -(y - np.float32(center_y))[:, None])
        leg = anatomy.leg_tissue(medial, anterior, field(y, x, level), size, level, side)
        # near the hip the boxes overlap, the legs at most touch
        label[box] = np.where(leg == anatomy.AIR, label[box], leg)
    return label


def _tissue_parameters(
    label: NDArray[np.uint8], axis: Float, level: float, rng: np.random.Generator
) -> dict[str, Float]:
    """Parameters of every point: the tissue's mean, its involvement, and fields that vary within it."""
    tissues = [TISSUES[name] for name in anatomy.COMMON_TISSUES]
    tissues += [_muscle(INVOLVEMENT[name], level, rng) for _ in range(2) for name in anatomy.MUSCLES]
    table = {name: np.array([getattr(t, name) for t in tissues], np.float32)[label] for name in Tissue.__annotations__}
    coarse, streaks, water, lipid = (
        SmoothField(rng, correlation_mm)(axis, axis, level) for correlation_mm in (12.0, 3.0, 15.0, 40.0)
    )
    ff = np.clip(table["ff"] + table["ff_spread"] * (0.7 * coarse + 0.7 * streaks), 0.01, 0.97)
    muscle = label >= len(anatomy.COMMON_TISSUES)
    ff[muscle] = np.minimum(ff[muscle], 0.90)
    return {
        "pd": table["pd"] * (1 + 0.02 * water),
        "ff": ff,
        "t1h2o": np.clip(table["t1h2o"] + table["t1h2o_spread"] * water, 1, 1900),
        "t1fat": np.clip(table["t1fat"] + table["t1fat_spread"] * lipid, 1, 390),
    }


def _muscle(involvement: float, level: float, rng: np.random.Generator) -> Tissue:
    """A muscle at some stage of the disease: oedema comes first, then fat; its edges are hit harder."""
    stage, oedema, slope, t1, t1fat = (
        rng.beta(1.2, 1.6),
        rng.random(),
        rng.normal(),
        rng.uniform(1270, 1390),
        rng.random(),
    )
    grade = float(np.clip(1.5 * involvement * stage + 0.08 * slope * level, 0.02, 0.85))
    swollen = 420 * oedema**3 * (1 - grade)
    return Tissue(
        pd=MUSCLE_PD,
        ff=grade,
        t1h2o=t1 + swollen,
        t1fat=325 + 45 * t1fat,
        ff_spread=0.01 + 0.55 * grade * (1 - grade),
        t1h2o_spread=25 + 0.2 * swollen,
    )


def _average(label: NDArray[np.uint8], fine: dict[str, Float]) -> dict[str, Float]:
    """Mean over the points of every pixel: protons for the density and fat fraction, their pool's for T1."""
    pd, ff = np.where(label == anatomy.AIR, 0, fine["pd"]), fine["ff"]
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
        "t1fat": ratio(fat * fine["t1fat"], fat),
    }


def _field_maps(axis: Float, level: float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Off-resonance (Hz): smooth, steep near one edge. B1: smooth, 0.5 .. 1."""
    y, x = axis[:, None], axis[None, :]
    smooth = SmoothField(rng, correlation_mm=55.0)(axis, axis, level)
    edge = 68 / (1 + np.exp(-(x + 0.25 * y - 125 + 10 * level) / 8))
    deltaf = 40 * np.tanh(0.8 * smooth) + edge - 8
    shading = SmoothField(rng, correlation_mm=90.0)(axis, axis, level)
    tilt = 0.07 * np.tanh(x / 120)  # the legs lie in a rotating field that favours one side
    b1 = np.clip(0.76 + tilt + 0.15 * np.tanh(shading) - 4e-6 * (y - 20) ** 2, 0.5, 1.0)
    return deltaf.astype(np.float32), b1.astype(np.float32)
