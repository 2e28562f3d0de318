"""What a client of a server has heard."""

from collections.abc import Iterable, Sequence

from spokestream.pipelines import wire

__all__ = ["counts", "failure", "texts"]


def counts(events: Iterable[object]) -> list[int]:
    """The numbers in the images, which count readouts."""
    return [int(e.item.data.flat[0]) for e in events if isinstance(e, wire.Data)]


def texts(events: Iterable[object]) -> list[str]:
    """The texts."""
    return [event.text for event in events if isinstance(event, wire.Text)]


def failure(events: Sequence[object]) -> str:
    """The sentence of a failed session, which ends in TEXT and CLOSE."""
    said, end = events[-2:]
    assert isinstance(said, wire.Text)
    assert isinstance(end, wire.Close)
    assert said.text.startswith("ERROR ")
    assert said.text.endswith("\n")
    assert "\n" not in said.text[:-1]
    return said.text
