import platform

import finufft
import numpy as np
import pytest
import torch

import spokestream
from spokestream.pipelines.node.client_texts import answer, read_parameters


def test_values_keep_their_type():
    text = '{"version": "1.1.0", "parameters": {"coils": 8, "b1": 0.5, "maps": true, "name": "a b"}}'
    values = read_parameters(text)
    assert values == {"coils": 8, "b1": 0.5, "maps": True, "name": "a b"}
    assert [type(value) for value in values.values()] == [int, float, bool, str]


@pytest.mark.parametrize(
    ("listed", "typed", "chosen"),
    [("a", "", {"config": "a"}), ("a", "b", {"config": "b"}), ("", "b", {"config": "b"}), ("", "", {})],
)
def test_a_typed_configuration_takes_precedence_over_a_listed_one(listed, typed, chosen):
    assert read_parameters(f'{{"parameters": {{"config": "{listed}", "customconfig": "{typed}"}}}}') == chosen


@pytest.mark.parametrize("text", ["", "a log line", "7", "[]", '{"a": 1}', '{"parameters": 3}', "[" * 100_000])
def test_other_texts_are_no_parameters(text):
    assert read_parameters(text) is None


def test_queries_for_versions_name_the_versions_that_run():
    assert answer("gadgetron::version") == answer("gadgetron::build") == f"spokestream {spokestream.__version__}"
    assert answer(" gadgetron::info::python\n") == platform.python_version()
    lines = answer("gadgetron::info").splitlines()
    assert lines[0] == f"spokestream {spokestream.__version__}"
    assert f"numpy {np.__version__}" in lines
    assert f"finufft {finufft.__version__}" in lines
    assert any(line.partition("+")[0] == f"torch {torch.__version__.partition('+')[0]}" for line in lines)
    assert f"ismrmrd {answer('ismrmrd::version')}" in lines
    assert f"Python {platform.python_version()}" in lines


@pytest.mark.parametrize("query", ["", "gadgetron::cuda::devices", "GADGETRON::INFO"])
def test_other_queries_are_unknown(query):
    assert answer(query) == "Unknown query"
