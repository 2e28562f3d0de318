"""Published results, which reports show beside the results of this software."""

from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

__all__ = ["PUBLISHED", "SOURCE"]

SOURCE = "Balsiger et al. 2020, Table 2 (doi 10.1016/j.media.2020.101741): 50 patients, against dictionary matching"

_TABLE = {
    "balsiger2020": {
        "nrmse": (0.027, 0.048, 0.212, 0.027, 0.056),
        "psnr": (31.6, 28.6, 22.7, 25.1, 27.8),
        "ssim": (0.984, 0.957, 0.940, 0.933, 0.965),
        "r2": (1.000, 0.919, 0.927, 0.995, 0.988),
    },
    "fang2019": {
        "nrmse": (0.030, 0.054, 0.217, 0.030, 0.062),
        "psnr": (30.7, 27.6, 22.5, 24.1, 26.9),
        "ssim": (0.980, 0.954, 0.937, 0.919, 0.959),
        "r2": (0.999, 0.911, 0.908, 0.992, 0.979),
    },
    "oksuz2019": {
        "nrmse": (0.063, 0.090, 0.287, 0.056, 0.107),
        "psnr": (24.1, 23.1, 20.0, 18.5, 22.2),
        "ssim": (0.939, 0.872, 0.869, 0.834, 0.895),
        "r2": (0.994, 0.648, 0.726, 0.930, 0.897),
    },
    "cohen2018": {
        "nrmse": (0.069, 0.100, 0.294, 0.062, 0.117),
        "psnr": (23.4, 22.2, 19.8, 17.6, 21.3),
        "ssim": (0.934, 0.867, 0.867, 0.819, 0.893),
        "r2": (0.993, 0.381, 0.541, 0.901, 0.785),
    },
    "hoppe2017": {
        "nrmse": (0.069, 0.097, 0.290, 0.062, 0.107),
        "psnr": (23.3, 22.4, 19.9, 17.7, 22.1),
        "ssim": (0.933, 0.867, 0.866, 0.824, 0.894),
        "r2": (0.991, 0.552, 0.693, 0.901, 0.865),
    },
}

PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    network: {metric: dict(zip(WATER_FAT.names, values, strict=True)) for metric, values in metrics.items()}
    for network, metrics in _TABLE.items()
}
"""Network -> metric -> map -> mean over subjects, for the five maps of the paper in its order."""
