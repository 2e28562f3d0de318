"""A fault: a change of a scan, at three strengths, and the words that a warning of it must contain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spokestream.simulator.faults.recorded import RecordedReadouts

__all__ = ["Collection", "Fault"]

Change = Callable[[RecordedReadouts, Any, np.random.Generator], None]


@dataclass(frozen=True)
class Fault:
    """One kind of fault, which `change` puts into a scan."""

    name: str
    kind: str
    """The group of faults that it belongs to: "readouts", "header" or "receiver"."""
    strengths: tuple[Any, Any, Any]
    """Three strengths in ascending order, or three variants where a fault has no strength."""
    cause: str
    """Regular expression that a warning or a refusal must match in order to name the cause; case does not matter."""
    change: Change

    def put_into(self, scan: RecordedReadouts, strength: Any, seed: int = 0) -> None:
        """Change the scan in place. The same seed chooses the same spokes and samples."""
        self.change(scan, strength, np.random.default_rng(seed))


class Collection(list[Fault]):
    """The faults of one group, in the order in which they are declared."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def fault(self, name: str, first: Any, second: Any, third: Any, *, cause: str) -> Callable[[Change], Change]:
        """Declare the decorated function, which changes a scan in place, as a fault."""

        def declare(change: Change) -> Change:
            self.append(Fault(name, self.kind, (first, second, third), cause, change))
            return change

        return declare
