"""The chain: messages that are passed on, messages that are held back, and the order in which gadgets are closed."""

import pytest

from spokestream.gadgets.gadget import Chain, Gadget


class Doubling(Gadget[int, int]):
    """A gadget that returns every number doubled, one message late, and records its calls in a diary."""

    accepts = (int,)

    def __init__(self, name, diary, fails=False):
        self.name, self.diary, self.fails, self.held = name, diary, fails, []

    def feed(self, message):
        self.diary.append((self.name, message))
        self.held.append(2 * message)
        if len(self.held) > 1:
            yield self.held.pop(0)

    def finish(self):
        self.diary.append((self.name, "finish"))
        yield from self.held

    def close(self):
        self.diary.append((self.name, "close"))
        if self.fails:
            raise RuntimeError(f"{self.name} cannot be closed")


@pytest.fixture
def diary():
    return []


def test_messages_of_other_types_are_passed_on_at_once_and_unchanged(diary):
    chain = Chain([Doubling("a", diary), Doubling("b", diary)])
    stranger = object()
    assert list(chain.feed(3)) == []
    assert list(chain.feed(stranger)) == [stranger]  # overtakes what the gadgets hold
    assert diary == [("a", 3)]


def test_what_an_early_gadget_held_back_passes_through_the_later_ones(diary):
    chain = Chain([Doubling("a", diary), Doubling("b", diary)])
    assert [out for n in (1, 2, 3) for out in chain.feed(n)] == [4]
    assert list(chain.finish()) == [8, 12]
    # the first gadget is finished, and all that it held has gone on, before the second is
    assert diary[-3:] == [("a", "finish"), ("b", 6), ("b", "finish")]


def test_a_chain_is_a_gadget(diary):
    nested = Chain([Chain([Doubling("a", diary)]), Doubling("b", diary)])
    assert [out for n in (1, 2, 3) for out in nested.feed(n)] == [4]
    assert list(nested.finish()) == [8, 12]
    assert list(Chain([]).feed("anything")) == ["anything"]


def test_gadgets_are_closed_last_to_first_and_once(diary):
    chain = Chain([Doubling(name, diary) for name in "abc"])
    chain.close()
    chain.close()
    assert diary == [("c", "close"), ("b", "close"), ("a", "close")]


def test_a_gadget_that_cannot_be_closed_keeps_no_other_open(diary):
    chain = Chain([Doubling("a", diary), Doubling("b", diary, fails=True), Doubling("c", diary)])
    with pytest.raises(RuntimeError, match="b cannot be closed"):
        chain.close()
    assert diary == [("c", "close"), ("b", "close"), ("a", "close")]
