"""A scan file in memory, whose header and readouts can be changed."""

import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.scan_files.scan_file import ACQUISITION, Records

__all__ = ["RecordedReadouts"]

NOISE = np.uint64(1 << (ismrmrd.ACQ_IS_NOISE_MEASUREMENT - 1))


@dataclass
class RecordedReadouts:
    """The header and the readouts of an ISMRMRD file as they are stored."""

    xml: str
    records: Records
    """(readouts,) with the fields `head`, `data` and `traj` of ISMRMRD's HDF5 layout."""

    @classmethod
    def read(cls, path: Path) -> "RecordedReadouts":
        """Read a file that the simulator wrote."""
        with h5py.File(path) as file:
            return cls(file["dataset/xml"][0].decode(), file["dataset/data"][:])

    def write(self, path: Path) -> None:
        """Write an ISMRMRD file."""
        with h5py.File(path, "w") as file:
            file.create_dataset("dataset/xml", data=[self.xml.encode()], dtype=h5py.special_dtype(vlen=bytes))
            file.create_dataset("dataset/data", data=self.records, dtype=ACQUISITION, chunks=(64,))

    @property
    def spokes(self) -> list[int]:
        """The rows that hold spokes."""
        return [int(row) for row in np.flatnonzero((self.records["head"]["flags"] & NOISE) == 0)]

    @property
    def noise(self) -> list[int]:
        """The rows that hold noise readouts."""
        return [int(row) for row in np.flatnonzero((self.records["head"]["flags"] & NOISE) != 0)]

    def some_spokes(self, fraction: float, rng: np.random.Generator) -> list[int]:
        """The rows of this fraction of the spokes, one at least, in random order."""
        n = max(1, round(fraction * len(self.spokes)))
        return [int(row) for row in rng.choice(self.spokes, n, replace=False)]

    def samples(self, row: int) -> NDArray[np.complex64]:
        """The samples (coils, samples) of a readout; a view, which changes the readout."""
        head = self.records["head"][row]
        shape = int(head["active_channels"]), int(head["number_of_samples"])
        return np.asarray(self.records["data"][row].view(np.complex64).reshape(shape))

    def trajectory(self, row: int) -> NDArray[np.float32]:
        """The embedded trajectory (samples, dimensions) of a readout; a view."""
        head = self.records["head"][row]
        return np.asarray(
            self.records["traj"][row].reshape(int(head["number_of_samples"]), int(head["trajectory_dimensions"]))
        )

    def put_samples(self, row: int, data: NDArray[np.complexfloating]) -> None:
        """Replace the samples (coils, samples) of a readout, and their numbers in its header."""
        self.records["data"][row] = np.ascontiguousarray(data, np.complex64).view(np.float32).ravel()
        head = self.records["head"]
        head["active_channels"][row], head["number_of_samples"][row] = data.shape

    def put_trajectory(self, row: int, k: NDArray[np.floating] | None) -> None:
        """Replace the trajectory (samples, dimensions) of a readout; None removes it."""
        values = np.empty((0, 0)) if k is None else k
        self.records["traj"][row] = np.ascontiguousarray(values, np.float32).ravel()
        self.records["head"]["trajectory_dimensions"][row] = values.shape[1]

    def forget_trajectories(self) -> None:
        """Remove all trajectories, so that spokes have golden angles."""
        for row in self.spokes:
            self.put_trajectory(row, None)

    def replace(self, pattern: str, text: str) -> None:
        """Replace what a regular expression matches in the header. Raises ValueError if it matches nothing."""
        self.xml, n = re.subn(pattern, text, self.xml, flags=re.DOTALL)
        if not n:
            raise ValueError(f"the header holds nothing like {pattern}")

    def numbers(self, tag: str) -> list[float]:
        """The values of all elements with this tag."""
        return [float(text) for text in re.findall(rf"<{tag}>([^<]*)</{tag}>", self.xml)]

    def scale_numbers(self, tag: str, factor: float) -> None:
        """Multiply the values of all elements with this tag."""
        self.xml = re.sub(rf"<{tag}>([^<]*)</{tag}>", lambda m: f"<{tag}>{float(m[1]) * factor:.9g}</{tag}>", self.xml)

    def space(self, which: str, matrix: int | None = None, fov_mm: float | None = None) -> None:
        """Replace matrix and field of view (x and y) of `encodedSpace` or `reconSpace`."""
        begin, end = self.xml.index(f"<{which}>"), self.xml.index(f"</{which}>")
        part = self.xml[begin:end]
        for tag, value in (("matrixSize", matrix), ("fieldOfView_mm", fov_mm)):
            if value is not None:
                first, last = part.index(f"<{tag}>"), part.index(f"</{tag}>")
                part = part[:first] + re.sub(r"<([xy])>[^<]*", rf"<\g<1>>{value:g}", part[first:last]) + part[last:]
        self.xml = self.xml[:begin] + part + self.xml[end:]
