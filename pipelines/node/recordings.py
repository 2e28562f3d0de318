"""The folder of recordings: it makes new ones, and deletes the oldest when there are too many or too old ones."""

import asyncio
import errno
import logging
import os
import time
from pathlib import Path

from spokestream.errors import FileError
from spokestream.pipelines.node.recording import Recorder, recording_path

__all__ = ["Recordings"]

LOG = logging.getLogger("spokestream.server")
DAY_S = 86400.0


class Recordings:
    """The recordings in a folder.

    Args:
        folder: the folder, which is made if there is none.
        quota_bytes: size of all recordings above which the oldest are deleted.
        days: age at which a recording is deleted.

    """

    def __init__(self, folder: Path, quota_bytes: int, days: float) -> None:
        self.folder = folder
        self._quota_bytes, self._days = quota_bytes, days
        self._open: dict[Path, Recorder | None] = {}
        """What is being written, by its path; None until its file exists."""
        self._ended_bytes = 0
        """Size of the other recordings, as far as it is known."""
        self.crowded = asyncio.Event()
        """Set while all recordings together are larger than the quota."""

    def check(self) -> None:
        """Raise FileError, in one sentence, if recordings cannot be written to the folder."""
        trial = recording_path(self.folder, "trial")
        try:
            with Recorder(trial) as recorder:
                recorder.write(b"trial")
                recorder.sync()
            trial.unlink()
        except OSError as error:
            raise FileError(
                f"Recordings cannot be written to {self.folder} by user {os.getuid()} ({error.strerror}); choose "
                "another for --record, or change its owner."
            ) from None

    def new(self, session: str) -> Recorder:
        """Begin the recording of a session. Raises OSError if it cannot be written."""
        path = recording_path(self.folder, session)
        self._open[path] = None  # first, because another thread may be deleting
        try:
            recorder = self._open[path] = Recorder(path)
        except OSError:
            del self._open[path]
            raise
        return recorder

    def write(self, recorder: Recorder, data: memoryview) -> None:
        """Append received bytes to a recording.

        What is being written is never deleted. If all of it is larger than the quota, the largest recording ends.

        Raises OSError if that was this one, or if it cannot be written.
        """
        if recorder.closed:
            raise OSError(errno.EDQUOT, "the recording is larger than the others, and all together than the quota")
        recorder.write(data)
        being_written = [recorder for recorder in self._open.values() if recorder]
        if sum(recorder.n_bytes for recorder in being_written) > self._quota_bytes:
            self.ended(max(being_written, key=lambda recorder: recorder.n_bytes))

    def ended(self, recorder: Recorder) -> None:
        """Close a recording, which may be deleted from now on."""
        try:
            recorder.close()
        except OSError as error:
            LOG.error("The end of the recording %s is lost: %s.", recorder.path, error)
        if self._open.pop(recorder.path, None):
            self._ended_bytes += recorder.n_bytes
            being_written = sum(other.n_bytes for other in self._open.values() if other)
            if self._ended_bytes + being_written > self._quota_bytes:
                self.crowded.set()

    async def tidy(self) -> None:
        """Delete old recordings in a thread, because a folder may have thousands."""
        self.crowded.clear()
        before = self._ended_bytes
        try:
            left = await asyncio.to_thread(self.delete_old)
            self._ended_bytes += left - before  # others may have ended meanwhile
        except OSError as error:
            LOG.error("Old recordings cannot be deleted: %s.", error)

    def delete_old(self) -> int:
        """Delete recordings that are too old, and then the oldest until the rest is within the quota.

        Another thread may begin and end recordings meanwhile.

        Returns:
            The bytes of those that are left and are not being written.

        """
        found = []
        for path in self.folder.glob("*.spokes"):
            try:
                status = path.stat()
            except OSError:
                continue  # somebody else has deleted it
            found.append((path.name, path, status.st_size, status.st_mtime))
        total = sum(size for _, _, size, _ in found)
        ended = sum(size for _, path, size, _ in found if path not in self._open)
        for _, path, size, changed in sorted(found):  # names begin with the time
            old = time.time() - changed > self._days * DAY_S
            if path in self._open or not (old or total > self._quota_bytes):
                continue
            try:
                path.unlink()
            except OSError as error:
                LOG.error("The recording %s cannot be deleted: %s.", path, error)
                continue
            total -= size
            ended -= size
            LOG.info("The recording %s was deleted, because recordings are too many or too old.", path)
        return ended
