"""Complete configuration files of Gadgetron in which a pipeline is an external module."""

from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from spokestream.pipelines.settings import AUTO, SETTINGS

__all__ = ["FORMS", "NODE_PORT", "gadgetron_xml"]

FORMS = ("execute", "connect")
"""Gadgetron starts a process for every scan, or it connects to a node that runs already."""
MODULE = "spokestream.pipelines.external"
NODE_PORT = 18000
"""The port of Gadgetron's own example of a module to which it connects."""
READERS = (
    # not the reader of gadgetron_core_readers, which loses the stream at a compressed readout
    ("gadgetron_mricore", "GadgetIsmrmrdAcquisitionMessageReader"),
    ("gadgetron_mricore", "GadgetIsmrmrdWaveformMessageReader"),
)
WRITERS = (("gadgetron_core_writers", "ImageWriter"),)
"""Images alone: Gadgetron's own client ends when it receives a waveform."""


def gadgetron_xml(
    pipeline: str,
    form: str = "execute",
    noise_adjust: bool = False,
    parameters: Mapping[str, str] | None = None,
    address: str = "localhost",
    port: int = NODE_PORT,
) -> str:
    """The text of a configuration file for Gadgetron's folder `share/gadgetron/config`.

    Args:
        pipeline: name of the pipeline, or `auto`.
        form: one of `FORMS`.
        noise_adjust: whether Gadgetron whitens the readouts before the module gets them. The module whitens them
            itself if they are not, by the noise readouts of the same scan.
        parameters: settings of the pipeline.
        address: the host of the node to which Gadgetron connects.
        port: the port of that node.

    """
    root = Element("configuration")
    SubElement(root, "version").text = "2"
    for plural, entries in (("readers", READERS), ("writers", WRITERS)):
        group = SubElement(root, plural)
        for dll, name in entries:
            entry = SubElement(group, plural.removesuffix("s"))
            SubElement(entry, "dll").text, SubElement(entry, "classname").text = dll, name
    stream = SubElement(root, "stream")
    if noise_adjust:
        gadget = SubElement(stream, "gadget")
        for tag, text in (("name", "NoiseAdjust"), ("dll", "gadgetron_mricore"), ("classname", "NoiseAdjustGadget")):
            SubElement(gadget, tag).text = text
    external = SubElement(stream, "external")
    if form == "execute":
        target = pipeline if pipeline in SETTINGS else AUTO  # the configuration below names the pipeline of others
        SubElement(external, "execute", name=MODULE, target=target, type="python")
    else:
        SubElement(external, "connect", address=address, port=str(port))
    configuration = SubElement(external, "configuration", pipeline=pipeline)
    for name, value in (parameters or {}).items():
        SubElement(configuration, "property", name=name, value=value)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}\n'
