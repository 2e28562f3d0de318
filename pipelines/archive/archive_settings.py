"""The settings with which the scans of an archive are reconstructed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spokestream.errors import InputError
from spokestream.pipelines.archive.scans.identity import state_of
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.selection import Selection, select
from spokestream.pipelines.settings import AUTO

__all__ = ["ArchiveSettings"]


@dataclass(frozen=True)
class ArchiveSettings:
    """How the scans of an archive are reconstructed, and by whom."""

    pipeline: str | None = None
    """The name of the pipeline; by default the one that each scan needs."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the pipeline. `threads` is by default such that all workers together have one for each core."""
    formats: Formats = field(default_factory=Formats)
    labels: Path | None = None
    """The folder of the labels."""
    scheduler: str | None = None
    """Address of a Dask scheduler whose workers see all files under the same names; None, or `local`, uses processes of
    this machine."""
    workers: int | None = None
    """Number of processes on this machine; by default as many as cores and memory allow."""

    def check(self) -> None:
        """Raises InputError for what an archive cannot have, or if a package is missing."""
        if self.formats.dicom_from:
            raise InputError("An archive has many patients, so that --dicom-from, which names one, cannot be used.")
        self.formats.check()
        if self.labels and not self.labels.is_dir():
            raise InputError(f"There is no folder {self.labels} of labels.")

    def selection(self) -> Selection:
        """The pipeline with its settings. Raises InputError for unknown names and values that are not allowed."""
        return select(self.pipeline or AUTO).with_parameters(self.parameters, trusted=True)

    def values(self) -> dict[str, Any]:
        """The given settings of the pipeline in their types, with absolute paths: workers have folders of their own."""
        known = self.selection().settings
        return {name: _absolute(getattr(known, name, given)) for name, given in self.parameters.items()}

    def digest(self) -> str:
        """A digest of what determines the results, besides scan and software. Files count with size and time.

        The number of threads does not count, because it does not change the maps.
        """
        described: dict[str, Any] = {"pipeline": self.pipeline, "bids": self.formats.bids, "dicom": self.formats.dicom}
        for name, value in sorted(self.values().items()):
            if name != "threads":
                file = Path(str(value))
                described[name] = [str(value), *(vars(state_of(file)).values() if file.is_file() else ())]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _absolute(value: Any) -> Any:
    if isinstance(value, Path):
        return value.absolute()
    is_file = isinstance(value, str) and value.endswith((".toml", ".seq"))
    return str(Path(value).absolute()) if is_file else value
