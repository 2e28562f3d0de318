"""Declarations of settings, apart from any class that uses them."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from spokestream.errors import InputError
from spokestream.settings import check_settings, declarations, layered, replace_settings, setting


@dataclass(frozen=True)
class Toy:
    """One setting of every kind."""

    whole: int = setting(3, meaning="A whole number.", low=1, high=2_000_000, peer=True)
    real: float = setting(0.5, meaning="A number.", unit="Hz", low=-1, high=1, peer=True)
    free: float = setting(0.0, meaning="A number without limits.")
    text: str = setting("a", meaning="A text.", peer=True)
    choice: str = setting("x", meaning="A choice.", choices=("x", "y.toml"), peer=True)
    pair: tuple[float, float] = setting((0.0, 1.0), meaning="Two numbers.", low=0, high=9)
    wholes: tuple[int, int] = setting((1, 2), meaning="Two whole numbers.", low=0, high=9)
    maybe: float | None = setting(None, meaning="A number; by default that of something else.", low=1, high=9)
    path: Path | None = setting(None, meaning="A path; by default there is none.")

    def __post_init__(self):
        check_settings(self)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("whole", "7", 7),
        ("whole", 7.0, 7),
        ("real", "0.25", 0.25),
        ("real", 1, 1.0),
        ("free", "-1e300", -1e300),
        ("text", "7", "7"),
        ("choice", "y.toml", "y.toml"),
        ("pair", "0.3,2", (0.3, 2.0)),
        ("pair", [1, 2.5], (1.0, 2.5)),
        ("wholes", "4,5", (4, 5)),
        ("maybe", "2", 2.0),
        ("maybe", None, None),
        ("path", "a/b", Path("a/b")),
        ("path", Path("a/b"), Path("a/b")),
        ("path", None, None),
    ],
)
def test_values_are_converted_to_the_type_of_the_annotation(name, given, value):
    got = getattr(replace_settings(Toy(), {name: given}), name)
    assert got == value
    assert type(got) is type(value)
    if isinstance(value, tuple):
        assert [type(part) for part in got] == [type(part) for part in value]


REFUSED = [
    ("whole", 0, "whole must be a whole number from 1 to 2000000, not 0"),
    ("whole", 2_000_001, "not 2000001"),
    ("whole", 1.5, "a whole number from 1 to 2000000, not 1.5"),
    ("whole", True, "not True"),
    ("whole", None, "not None"),
    ("real", 1.5, "real must be a number from -1 to 1 Hz, not 1.5"),
    ("real", float("nan"), "not nan"),
    ("free", float("nan"), "free must be a number, not nan"),
    ("text", 7, "text must be a text, not 7"),
    ("choice", "z", "choice must be one of x, y.toml, not 'z'"),
    ("pair", (1.0,), "pair must be 2 numbers from 0 to 9, not 1"),
    ("pair", (1.0, 10.0), "2 numbers from 0 to 9, not 1,10"),
    ("pair", 1.0, "2 numbers from 0 to 9, not 1"),
    ("wholes", (1, 2.5), "wholes must be 2 whole numbers from 0 to 9, not 1,2.5"),
    ("maybe", 0.0, "maybe must be a number from 1 to 9, not 0"),
    ("path", 7, "path must be a path, not 7"),
    ("whole", [[1]], "not a list"),
    ("whole", {"a": {}}, "not a dict"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), REFUSED)
@pytest.mark.parametrize("make", [lambda change: replace(Toy(), **change), lambda change: layered(Toy(), change)])
def test_what_is_not_allowed_is_refused_whatever_its_source(make, name, value, sentence):
    with pytest.raises(InputError) as refusal:
        make({name: value})
    assert str(refusal.value).startswith(f"The setting {name} must be ")
    assert str(refusal.value).endswith(f"{sentence}.")


@pytest.mark.parametrize(("name", "text"), [("whole", "1.5"), ("real", "much"), ("pair", "1,"), ("maybe", "")])
def test_a_text_that_is_no_number_is_refused_when_it_is_read(name, text):
    with pytest.raises(InputError, match=f"The setting {name} must be .*number"):
        declarations(Toy)[name].read(text)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match="no parameter 'wholly'; known are whole, real, free, text, choice, pair"):
        replace_settings(Toy(), {"wholly": 1})


def test_a_peer_sets_only_what_is_declared_for_it():
    assert replace_settings(Toy(), {"whole": "4", "choice": "y.toml", "text": "a-b_7"}, peer=True) == Toy(
        whole=4, choice="y.toml", text="a-b_7"
    )
    for name in ("free", "pair", "maybe", "path"):
        with pytest.raises(InputError, match=f"no parameter '{name}'; known are whole, real, text, choice\\.$"):
            replace_settings(Toy(), {name: "1"}, peer=True)


@pytest.mark.parametrize("text", ["a.toml", "a/b", "..", "/a", "a\\b", "a b", "a\n"])
def test_a_peer_names_no_file(text):
    assert replace_settings(Toy(), {"text": text}).text == text
    with pytest.raises(InputError, match="text takes a name, not a path"):
        replace_settings(Toy(), {"text": text}, peer=True)


def test_later_layers_take_precedence_and_foreign_names_are_left_alone():
    assert layered(Toy(), {"whole": 4, "real": 1, "foreign": 1}, {"whole": 5}, {}) == Toy(whole=5, real=1.0)


def test_lists_in_lists_are_refused_however_deep_they_are():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InputError, match="not a list"):
        replace_settings(Toy(), {"whole": value})
