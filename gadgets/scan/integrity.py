"""The integrity ledger of a scan: it counts irregularities in every slice, and every gadget may write into it."""

from collections import Counter, defaultdict

from spokestream.errors import ScanError

__all__ = ["IntegrityLedger"]


class IntegrityLedger:
    """Counts by slice and kind (`missing`, `duplicate`, `flagged`, ...). The metadata of the maps contain them.

    Args:
        strict: whether the first irregularity ends the scan with an error.

    """

    def __init__(self, strict: bool = False) -> None:
        self._strict = strict
        self._counts: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def note(self, slice_index: int, kind: str, sentence: str, n: int = 1) -> None:
        """Count `n` irregularities. Raises ScanError with the sentence if the ledger is strict."""
        self._counts[slice_index][kind] += n
        if self._strict:
            raise ScanError(f"Slice {slice_index + 1}: {sentence}, and integrity is set to strict.")

    def record(self, slice_index: int, kind: str, n: int) -> None:
        """Count something that is no irregularity of the data, for instance the voxels that were checked."""
        self._counts[slice_index][kind] += n

    def counts(self, slice_index: int) -> dict[str, int]:
        """All counts of a slice, by kind in alphabetical order."""
        return dict(sorted(self._counts[slice_index].items()))

    def take(self, slice_index: int) -> dict[str, int]:
        """All counts of a slice, which are reset to zero."""
        counts = self.counts(slice_index)
        self._counts.pop(slice_index, None)
        return counts

    def words(self, slice_index: int) -> str:
        """The counts as text: "2 duplicate, 1 out of order"."""
        return ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in self.counts(slice_index).items())
