import pytest

from spokestream.pipelines.node.parameters import read_parameters


def test_values_of_any_type_become_text():
    text = '{"version": "1.1.0", "parameters": {"coils": 8, "b1": 0.5, "maps": true, "name": "a b"}}'
    assert read_parameters(text) == {"coils": "8", "b1": "0.5", "maps": "true", "name": "a b"}


@pytest.mark.parametrize(
    ("listed", "typed", "chosen"),
    [("a", "", {"config": "a"}), ("a", "b", {"config": "b"}), ("", "b", {"config": "b"}), ("", "", {})],
)
def test_a_typed_configuration_goes_before_a_listed_one(listed, typed, chosen):
    assert read_parameters(f'{{"parameters": {{"config": "{listed}", "customconfig": "{typed}"}}}}') == chosen


@pytest.mark.parametrize("text", ["", "a log line", "7", "[]", '{"a": 1}', '{"parameters": 3}', "[" * 100_000])
def test_other_texts_are_no_parameters(text):
    assert read_parameters(text) is None
