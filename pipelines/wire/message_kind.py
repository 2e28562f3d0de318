"""One kind of message: its id, its name, the event that it becomes, and how its body is read and written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from spokestream.pipelines.wire.fields import Buffer, Fill
from spokestream.pipelines.wire.limits import Limits

__all__ = ["Event", "MessageKind"]


class Event:
    """The content of one message. Each kind of message has its own class of events, except where `Data` is shared."""

    __slots__ = ()


E = TypeVar("E", bound=Event)


@dataclass(frozen=True, eq=False)
class MessageKind(Generic[E]):
    """All that the codec knows of one kind of message."""

    id: int
    """Number that precedes the body on the wire (uint16). Nothing else separates messages."""
    name: str
    """Name in the ISMRMRD protocol."""
    event: type[E]
    read: Callable[[Limits], Fill[E]]
    """The reader of the body. Raises MalformedError."""
    write: Callable[[E], list[Buffer]] | None
    """The writer of the body, in parts. Raises LocalProtocolError. None for a kind that is read but never sent."""
    item: type = object
    """Class of the item if the event is `Data`."""
    frame: Callable[[Limits], Fill[Event]] | None = None
    """The reader of the body that checks the header and decodes nothing else. Raises MalformedError where `read` does,
    except for what is inside an image or a DICOM file, which are skipped. None for a kind that is always decoded."""

    def says(self, event: Event) -> bool:
        """Whether the event is one of this kind."""
        return isinstance(event, self.event) and isinstance(getattr(event, "item", None), self.item)
