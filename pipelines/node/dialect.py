"""How a node speaks to its peers: to clients, or to Gadgetrons that connect to it as an external module."""

from collections.abc import Callable
from dataclasses import dataclass

from spokestream.pipelines import wire
from spokestream.pipelines.gadgetron_texts import printable

__all__ = ["DIALECTS", "Dialect"]


@dataclass(frozen=True)
class Dialect:
    """What differs between the two."""

    role: wire.Role
    failure: Callable[[str], wire.Event]
    """The message that says, in one sentence, why there are no maps."""
    mute: bool
    """Whether warnings and other texts must not be sent, because the peer fails at them."""


DIALECTS = {
    "server": Dialect(wire.Role.SERVER, lambda sentence: wire.Text(f"ERROR {sentence}\n"), mute=False),
    "gadgetron": Dialect(wire.Role.CHILD, lambda sentence: wire.ErrorText(printable(sentence)), mute=True),
}
"""The dialects by the value of the setting `role`."""
