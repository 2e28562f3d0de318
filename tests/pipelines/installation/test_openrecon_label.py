"""The label of an OpenRecon container, its rules, and that the node takes what a console with this label sends."""

import copy
import json
from datetime import date

import pytest

from spokestream.errors import InputError
from spokestream.pipelines.installation.label_rules import MOST_PARAMETERS, label_faults
from spokestream.pipelines.installation.openrecon_label import (
    NOT_SHOWN,
    TITLES,
    console_parameters,
    console_values,
    openrecon_label,
)
from spokestream.pipelines.node.client_texts import read_parameters
from spokestream.pipelines.selection import configure, select
from spokestream.pipelines.settings import AUTO, SETTINGS, AutoSettings
from spokestream.settings import declarations


@pytest.fixture
def label():
    return openrecon_label("clinic", date(2026, 11, 26))


def test_our_label_keeps_the_rules_and_is_json(label):
    assert label_faults(label) == []
    assert json.loads(json.dumps(label)) == label
    assert label["general"]["regulatory_information"]["manufacture_date"] == "2026/11/26"
    assert (label["reconstruction"]["emitter"], label["reconstruction"]["port"]) == ("raw", 9002)


def test_the_console_shows_every_setting_of_a_scanner_but_those_that_are_left_out():
    declared = {name for name, d in declarations(AutoSettings).items() if d.peer}
    shown = [one["id"] for one in console_parameters()]
    assert shown[0] == "config"
    assert set(shown[1:]) == {name.replace("_", "") for name in declared - NOT_SHOWN.keys()}
    assert len(set(shown)) == len(shown) <= MOST_PARAMETERS
    assert NOT_SHOWN.keys() <= declared
    pipelines = console_parameters()[0]
    assert [value["id"] for value in pipelines["values"]] == [AUTO, *SETTINGS] == list(TITLES)


def test_limits_and_defaults_are_those_of_the_declarations():
    by_id = {one["id"]: one for one in console_parameters()}
    assert by_id["virtualcoils"] | {"label": 0, "information": 0} == {
        "type": "int", "id": "virtualcoils", "label": 0, "information": 0, "default": 8, "minimum": 1, "maximum": 64,
    }  # fmt: skip
    assert by_id["demodulationhz"]["unit"] == {"en": "Hz"}
    assert [value["id"] for value in by_id["refine"]["values"]] == ["auto", "on", "off"]
    assert by_id["sequence"]["default"] == ""
    assert "file" not in by_id["sequence"]["information"]["en"]
    assert by_id["refine"]["information"] == {"en": declarations(AutoSettings)["refine"].meaning}


MAX_MISSING = next(i for i, one in enumerate(console_parameters()) if one["id"] == "maxmissing")
FAULTS = [
    (("general", "version"), "0.2", "general.version must be a version"),
    (("general", "vendor"), None, "general.vendor must be a text"),
    (("general", "name"), {"de": "x"}, "general.name.en is missing"),
    (("general", "more"), 1, "general.more is unknown"),
    (("general", "regulatory_information", "udi"), 3, "regulatory_information.udi must be a text"),
    (("reconstruction", "port"), 70000, "reconstruction.port must be a whole number from 1 to 65535"),
    (("reconstruction", "port"), "9002", "reconstruction.port must be a whole number"),
    (("reconstruction", "emitter"), "both", "emitter must be raw or image"),
    (("reconstruction", "min_count_required_cpu_cores"), 0, "must be a whole number from 1"),
    (("reconstruction", "can_use_gpu"), 1, "can_use_gpu must be true or false"),
    (("reconstruction", "transfer_protocol", "version"), "2.0", "version must be 1.4.1"),
    (("reconstruction", "channel_compression"), {"state": "off"}, "channel_compression.state is unknown"),
    (("parameters", 2, "id"), "virtual_coils", "parameters[2].id must be letters and digits"),
    (("parameters", 2, "type"), "float", "parameters[2].type must be int or double"),
    (("parameters", 2, "default"), 8.5, "parameters[2].default must be a whole number"),
    (("parameters", MAX_MISSING, "default"), 0.05, "].default must be a number in steps of 0.1"),
    (("parameters", 2, "unit"), {"en": "coils"}, "parameters[2].unit.en must be 1 to 3 characters"),
    (("parameters", 0, "values"), [], "parameters[0].values must be a list of 1 or more"),
    (("parameters", 0, "values"), [{"id": "a"}], "parameters[0].values[0].name is missing"),
    (("parameters", 0, "default"), "liver", "default 'liver' of config, which is no choice"),
    (("parameters", 2, "default"), 65, "default 65 of virtualcoils, which is not from 1 to 64"),
    (("parameters", 0, "id"), "pipeline", "have no choice 'config'"),
    (("parameters", 1, "id"), "config", "have an id twice"),
    (("parameters",), {}, "parameters must be a list"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "fault"), FAULTS)
def test_a_fault_is_named(label, path, value, fault):
    place = label
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (found,) = label_faults(label)
    assert fault in found


def test_missing_parts_and_too_many_parameters_are_named(label):
    for part in list(label):
        rest = {name: value for name, value in label.items() if name != part}
        assert label_faults(rest) == [f"The label.{part} is missing."]
    more = copy.deepcopy(label)
    more["parameters"] += [{"type": "string", "id": f"more{i}", "label": {"en": ""}} for i in range(MOST_PARAMETERS)]
    assert label_faults(more) == [f"The label's parameters are {len(more['parameters'])}, more than 14."]


# --- The other side: what a console sends for this label


def console(**changed):
    """The JSON text of a console on which these parameters were changed, as the node reads it."""
    text = json.dumps({"version": "1.1.0", "parameters": {**console_values(), **changed}})
    return read_parameters(text)


def test_an_unchanged_console_asks_for_what_the_node_does_anyway():
    selection, unknown = select("openrecon").as_console_asks(console())
    assert (selection, unknown) == (select("auto"), [])


@pytest.mark.parametrize("name", SETTINGS)
def test_every_pipeline_can_be_chosen_with_the_rest_unchanged(name):
    selection, unknown = select("openrecon").as_console_asks(console(config=name))
    assert (selection, unknown) == (select(name), [])


def test_a_changed_setting_is_taken_and_one_of_another_pipeline_is_named():
    asked = console(config="mrf_t1ff_net", virtualcoils=6, matcher="svd")
    selection, unknown = select("openrecon").as_console_asks(asked)
    assert (selection.settings.virtual_coils, selection.given, unknown) == (6, {"virtual_coils"}, ["matcher"])
    selection, unknown = select("openrecon").as_console_asks(console(matcher="svd", maxmissing=0.2))
    assert (selection.name, selection.given, unknown) == ("auto", {"matcher", "max_missing"}, [])


def test_an_empty_text_leaves_what_the_operator_set():
    offered = configure({"sequence": "t1ff-2d-1400"})
    selection, _ = select("openrecon", settings=offered).as_console_asks(console())
    assert selection.settings.sequence == "t1ff-2d-1400"
    selection, _ = select("openrecon", settings=offered).as_console_asks(console(sequence="fisp-song-200"))
    assert selection.settings.sequence == "fisp-song-200"


def test_an_impossible_value_is_refused_for_a_setting_of_the_pipeline():
    with pytest.raises(InputError, match="virtual_coils must be a whole number"):
        select("openrecon").as_console_asks(console(virtualcoils=True))
