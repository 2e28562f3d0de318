"""Files of simulated scans: ISMRMRD HDF5, written slice by slice, and the true maps beside it."""

import json
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
from ismrmrd.hdf5 import acquisition_dtype
from numpy.typing import NDArray

from spokestream.simulator.phantoms import MAP_UNITS, Phantom
from spokestream.simulator.physics.trajectory import golden_angles
from spokestream.simulator.scan_files.protocol import Protocol, header_xml

__all__ = [
    "append_acquisitions", "create_scan", "create_truth", "noise_acquisitions", "slice_acquisitions", "truth_path",
    "write_truth",
]  # fmt: skip

Complex = NDArray[np.complex64]
Records = NDArray[np.void]

ACQUISITION = np.dtype(acquisition_dtype)
TICK_MS = 2.5
"""Unit of the time stamps, which count from midnight."""
START_MS = 10 * 3600e3
TABLE_MM = (0.0, 0.0, -850.0)


def create_scan(file: h5py.File, protocol: Protocol) -> None:
    """Write the header and an empty list of acquisitions."""
    file.create_dataset("dataset/xml", data=[header_xml(protocol).encode()], dtype=h5py.special_dtype(vlen=bytes))
    file.create_dataset("dataset/data", (0,), ACQUISITION, maxshape=(None,), chunks=(64,))


def append_acquisitions(file: h5py.File, records: Records) -> None:
    """Add acquisitions in one write."""
    data = file["dataset/data"]
    before = data.shape[0]
    data.resize(before + len(records), axis=0)
    data[before:] = records


def noise_acquisitions(noise: Complex, protocol: Protocol) -> Records:
    """The records of noise readouts (coils, readouts, samples), taken in the second before the first slice."""
    records = _acquisitions(noise, protocol)
    records["head"]["scan_counter"] = np.arange(len(records))
    records["head"]["flags"] = _flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    _stamp(records, START_MS - 1000 + TICK_MS * np.arange(len(records)))
    return records


def slice_acquisitions(kspace: Complex, protocol: Protocol, index: int, n_before: int) -> Records:
    """The records of all spokes (coils, spokes, samples) of slice `index`, in the order of the train.

    Their numbers continue after the `n_before` readouts before the first slice.
    """
    sequence = protocol.sequence
    records = _acquisitions(kspace, protocol)
    head = records["head"]
    spokes = np.arange(len(sequence))
    head["scan_counter"] = n_before + index * len(sequence) + spokes
    head["idx"]["kspace_encode_step_1"] = spokes
    head["idx"]["slice"] = index
    head["center_sample"] = protocol.center_sample
    head["position"] = protocol.slice_offset_mm(index) * protocol.directions[2]
    head["flags"][0] |= _flag(ismrmrd.ACQ_FIRST_IN_SLICE)
    head["flags"][-1] |= _flag(ismrmrd.ACQ_LAST_IN_SLICE)
    if index == protocol.n_slices - 1:
        head["flags"][-1] |= _flag(ismrmrd.ACQ_LAST_IN_MEASUREMENT)
    excitation = sequence.ti_ms + np.cumsum(sequence.tr_ms) - sequence.tr_ms
    _stamp(records, START_MS + index * sequence.duration_ms + excitation + sequence.te_ms)
    if protocol.trajectory == "embedded":
        k = protocol.readout().k
        head["trajectory_dimensions"] = 2
        for record, positions in zip(records, (k / protocol.matrix).astype(np.float32), strict=True):
            record["traj"] = positions.ravel()
    elif protocol.trajectory == "angle":
        head["user_float"][:, 0] = golden_angles(spokes) % (2 * np.pi)
    return records


def _acquisitions(data: Complex, protocol: Protocol) -> Records:
    """The records of readouts (coils, readouts, samples) with the header fields that are common, without trajectory."""
    n_coils, n_readouts, n_samples = data.shape
    records = np.zeros(n_readouts, ACQUISITION)
    head = records["head"]
    head["version"] = 1
    head["measurement_uid"] = 1
    head["number_of_samples"] = n_samples
    head["available_channels"] = head["active_channels"] = n_coils
    head["channel_mask"] = [(1 << min(max(n_coils - 64 * word, 0), 64)) - 1 for word in range(16)]
    head["sample_time_us"] = protocol.dwell_us
    head["read_dir"], head["phase_dir"], head["slice_dir"] = protocol.directions
    head["patient_table_position"] = TABLE_MM
    for record, readout in zip(records, data.transpose(1, 0, 2), strict=True):
        record["data"] = np.ascontiguousarray(readout).view(np.float32).ravel()
        record["traj"] = np.empty(0, np.float32)
    return records


def _flag(bit: int) -> np.uint64:
    return np.uint64(1 << (bit - 1))


def _stamp(records: Records, time_ms: NDArray[np.floating]) -> None:
    records["head"]["acquisition_time_stamp"] = np.round(time_ms / TICK_MS)


def truth_path(path: Path) -> Path:
    """The file with the true maps of a scan: `scan.h5` -> `scan.truth.h5`."""
    return path.with_suffix(".truth.h5")


def create_truth(file: h5py.File, protocol: Protocol, label_names: tuple[str, ...], settings: dict[str, Any]) -> None:
    """Write empty maps (slices, y, x) with their units, labels with names, purity, and the settings as attributes."""
    shape = (protocol.n_slices, protocol.matrix, protocol.matrix)
    for name, unit in MAP_UNITS.items():
        file.create_dataset(name, shape, np.float32).attrs["unit"] = unit
    file.create_dataset("label", shape, np.uint8).attrs["names"] = json.dumps(label_names)
    file.create_dataset("purity", shape, np.float32).attrs["unit"] = "1"
    file.attrs.update(settings)


def write_truth(file: h5py.File, index: int, phantom: Phantom) -> None:
    """Write the maps, the labels and the purity of one slice."""
    for name in (*MAP_UNITS, "label", "purity"):
        file[name][index] = getattr(phantom, name)
