import pytest

from spokestream.pipelines.node.parameters import read_parameters


def test_values_keep_their_type():
    text = '{"version": "1.1.0", "parameters": {"coils": 8, "b1": 0.5, "maps": true, "name": "a b"}}'
    values = read_parameters(text)
    assert values == {"coils": 8, "b1": 0.5, "maps": True, "name": "a b"}
    assert [type(value) for value in values.values()] == [int, float, bool, str]


@pytest.mark.parametrize(
    ("listed", "typed", "chosen"),
    [("a", "", {"config": "a"}), ("a", "b", {"config": "b"}), ("", "b", {"config": "b"}), ("", "", {})],
)
def test_a_typed_configuration_goes_before_a_listed_one(listed, typed, chosen):
    assert read_parameters(f'{{"parameters": {{"config": "{listed}", "customconfig": "{typed}"}}}}') == chosen


@pytest.mark.parametrize("text", ["", "a log line", "7", "[]", '{"a": 1}', '{"parameters": 3}', "[" * 100_000])
def test_other_texts_are_no_parameters(text):
    assert read_parameters(text) is None
