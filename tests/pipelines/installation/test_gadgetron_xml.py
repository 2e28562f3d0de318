"""The configuration files for Gadgetron: their form is that of its own examples, and the module reads them."""

from xml.etree import ElementTree

import pytest
from gadgetron_host import configuration_of, external_of

from spokestream.pipelines import external
from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.installation.gadgetron_xml import FORMS, gadgetron_xml
from spokestream.pipelines.selection import select
from spokestream.pipelines.settings import AUTO

NAMES = [AUTO, *PIPELINES]
LIBRARIES = {
    ("gadgetron_mricore", "GadgetIsmrmrdAcquisitionMessageReader"),
    ("gadgetron_mricore", "GadgetIsmrmrdWaveformMessageReader"),
    ("gadgetron_mricore", "NoiseAdjustGadget"),
    ("gadgetron_core_writers", "ImageWriter"),
}
"""Classes of Gadgetron 4.7 by their libraries, as far as the files may name them."""


def printed(capsys, *arguments):
    assert main(["xml", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_printed_file_has_the_form_of_gadgetron(name, form, noise, capsys):
    text = printed(capsys, name, "--form", form, *(["--noise-adjust"] if noise else []))
    assert text == gadgetron_xml(name, form, noise)
    root = ElementTree.fromstring(text)
    assert [child.tag for child in root] == ["version", "readers", "writers", "stream"]
    assert root.findtext("version") == "2"
    entries = [*root.iter("reader"), *root.iter("writer"), *root.iter("gadget")]
    assert len(entries) == 3 + noise
    assert {(entry.findtext("dll"), entry.findtext("classname")) for entry in entries} <= LIBRARIES
    # waveforms go to the module, and not to the client, which does not know them
    assert [writer.findtext("classname") for writer in root.iter("writer")] == ["ImageWriter"]
    assert [child.tag for child in root.find("stream")] == [*["gadget"] * noise, "external"]
    (start,) = [child for child in external_of(text) if child.tag in FORMS]
    assert start.tag == form
    if form == "execute":
        assert start.attrib == {"name": external.__name__, "target": name, "type": "python"}
        assert name in external.__all__
    else:
        assert start.attrib == {"address": "localhost", "port": "18000"}
    assert select(configuration_of(text), default="no pipeline is taken from here").name == name


def test_settings_of_the_pipeline_reach_it(capsys):
    text = printed(capsys, "mrf_t1ff", "--set", "virtual_coils=6", "--set", "refine=on")
    chosen = select(configuration_of(text))
    assert (chosen.name, chosen.settings.virtual_coils, chosen.settings.refine) == ("mrf_t1ff", 6, "on")


def test_the_address_of_the_node_can_be_chosen(capsys):
    text = printed(capsys, "mrf_t1ff", "--form", "connect", "--address", "node.local", "--port", "18003")
    assert external_of(text).find("connect").attrib == {"address": "node.local", "port": "18003"}


def test_a_pipeline_of_another_package_is_reached_by_its_configuration():
    text = gadgetron_xml("theirs")
    assert external_of(text).find("execute").get("target") == "auto"
    assert external_of(text).find("configuration").get("pipeline") == "theirs"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mrf_t1"], "There is no pipeline 'mrf_t1'; known are auto, mrf_t1ff"),
        (["mrf_t1ff", "--set", "datatype=int16"], "Gadgetron's image reader does not know int16"),
        (["mrf_t1ff", "--set", "archive=mine.pt"], "There is no parameter 'archive'"),
    ],
)
def test_what_gadgetron_could_not_run_is_not_printed(arguments, sentence, capsys):
    assert main(["xml", *arguments]) == 1
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.out == ""
