"""What `import spokestream` offers: scans in, maps in physical units out."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError, InputError
from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.files.image_notes import image_counts, image_provenance
from spokestream.pipelines.files.ismrmrd_file import Scan, read_scan
from spokestream.pipelines.files.nifti import slice_affine
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.files.replay import reconstruct as reconstruct_images
from spokestream.pipelines.files.scan_source import ScanSource, open_scan
from spokestream.pipelines.files.validity import valid_voxels
from spokestream.pipelines.selection import select
from spokestream.pipelines.settings import AUTO
from spokestream.simulator.physics.dictionaries.match import Dictionary
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.physics.tissue_models.registry import TISSUE_MODELS

if TYPE_CHECKING:
    import xarray

__all__ = ["Maps", "available_pipelines", "load_dictionary", "reconstruct", "simulate"]


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of a scan in physical units, with what is needed to read them."""

    values: dict[str, NDArray[np.float32]]
    """Name of a quantity -> (slices, y, x) in its unit; 0 where it has no meaning."""
    units: dict[str, str]
    """Name -> unit; "1" is dimensionless."""
    masks: dict[str, NDArray[np.bool_]]
    """Name -> (slices, y, x) where the quantity has a meaning: water T1, for instance, not in fat."""
    affines: NDArray[np.float64]
    """(slices, 4, 4) from voxel indices (x, y, 0) of a slice to RAS millimetres of the voxel's centre."""
    provenance: dict[str, str]
    """Pipeline, sequence, dictionary or network, source of trajectory and noise, version of the software."""
    integrity: list[dict[str, int]]
    """Counts of what was wrong with each slice: missing, duplicate, damaged spokes, flagged voxels."""

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """The map with NaN where it has no meaning. Raises KeyError for a map that does not exist."""
        return np.where(self.masks[name], self.values[name], np.float32(np.nan))

    def to_xarray(self) -> "xarray.Dataset":
        """An xarray Dataset with a variable for every map, NaN where it has no meaning, and units as attributes.

        Raises InputError when xarray is not installed.
        """
        try:
            import xarray
        except ImportError:
            raise InputError("Maps become an xarray Dataset with xarray; install spokestream[xarray].") from None
        axes = ("slice", "y", "x")
        variables = {
            name: (axes, self[name], {"units": unit, "long_name": QUANTITIES[name].title})
            for name, unit in self.units.items()
        }
        return xarray.Dataset(variables, attrs=dict(self.provenance))


def reconstruct(scan: "str | Path | ScanSource", pipeline: str = AUTO, **settings: Any) -> Maps:
    """Reconstruct a scan with the chain that the node runs.

    Args:
        scan: the path of an ISMRMRD file, of a stream of messages, or of a session's recording; or what `read_scan`
            gave.
        pipeline: one of `available_pipelines()`; `auto` is the one whose maps the sequence encodes.
        settings: settings of the pipeline, as on the command line: `virtual_coils=8`. Maps are given in single
            precision unless `datatype` says otherwise.

    Raises:
        InputError: for an unknown pipeline or setting.
        FileError: for a dictionary or network archive that cannot be read.
        ScanError: when the scan cannot be read or reconstructed.

    """
    source = open_scan(scan) if isinstance(scan, str | Path) else scan
    selection = select(pipeline).with_parameters({"datatype": "float32", **settings}, trusted=True)
    images, _ = reconstruct_images(source, selection)
    return _maps(images)


def _maps(images: list[ismrmrd.Image]) -> Maps:
    values = map_volumes(images)
    of_first_map = sorted(
        (i for i in images if i.image_series_index == images[0].image_series_index), key=lambda i: i.slice
    )
    return Maps(
        values,
        {name: QUANTITIES[name].unit for name in values},
        valid_voxels(values),
        np.stack([slice_affine(image) for image in of_first_map]),
        image_provenance(images),
        [image_counts(image) for image in of_first_map],
    )


def simulate(path: str | Path, **settings: Any) -> Scan:
    """Write a simulated ISMRMRD scan, and its truth beside it; returns the scan.

    Args:
        path: the file to write; the truth gets the ending `.truth.h5`.
        settings: the settings of `spokestream simulate`, for instance `anatomy="calf", matrix=96, seed=3`.

    Raises InputError for settings that cannot be simulated, OSError when the file cannot be written.

    """
    from spokestream.simulator.simulate import simulate_scan
    from spokestream.simulator.simulation_settings import SimulationSettings

    unknown = settings.keys() - SimulationSettings.__dataclass_fields__.keys()
    if unknown:
        known = ", ".join(SimulationSettings.__dataclass_fields__)
        raise InputError(f"There is no setting '{min(unknown)[:40]}'; known are {known}.")
    simulate_scan(Path(path), SimulationSettings(**settings))
    return read_scan(path)


def load_dictionary(path: str | Path) -> Dictionary:
    """A dictionary that `spokestream dictionary` made. Raises FileError, in one sentence, for anything else."""
    reasons = []
    for model in TISSUE_MODELS.values():
        try:
            return model.load_dictionary(Path(path))
        except FileError as error:
            reasons.append(str(error))
    raise FileError(" ".join(reasons))


def available_pipelines() -> tuple[str, ...]:
    """The names of the pipelines, those of other installed packages included."""
    return (AUTO, *PIPELINES)
