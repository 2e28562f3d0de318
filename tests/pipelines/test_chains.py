import logging

import pytest
from toy_network import write_toy_archive

from spokestream.errors import ScanError
from spokestream.gadgets.readout import Readout
from spokestream.pipelines.chains import PIPELINES, configure, select, start_scan, warm_up
from spokestream.pipelines.node.model_pool import MODEL_POOL
from spokestream.pipelines.settings import SETTINGS, T1FFNetSettings, T1FFSettings
from spokestream.simulator.physics.sequences.loading import load_sequence


def test_every_pipeline_has_settings_and_takes_those_alone():
    assert PIPELINES.keys() == SETTINGS.keys()
    assert isinstance(select("mrf_t1ff").settings, T1FFSettings)
    assert isinstance(select("mrf_t1ff_net").settings, T1FFNetSettings)
    with pytest.raises(ScanError, match="no parameter 'network'"):
        select("mrf_t1ff").with_parameters({"network": "ours"})
    with pytest.raises(ScanError, match="no parameter 'basis'"):
        select("mrf_t1ff_net").with_parameters({"basis": "frames"})


def test_the_operators_values_go_to_the_pipelines_that_have_them():
    settings = configure({"coils": "5", "basis": "frames", "precision": "float32"})
    assert settings["mrf_t1ff"] == T1FFSettings(coils=5, basis="frames")
    assert settings["mrf_t1ff_net"] == T1FFNetSettings(coils=5, precision="float32")
    with pytest.raises(ScanError, match="between 1 and 64"):
        configure({"coils": "500"})


def test_a_peer_changes_the_pipeline_and_keeps_the_operators_settings():
    settings = configure({"coils": "5", "archive": "mine.pt"})
    selection = select("mrf_t1ff", settings=settings).with_parameters({"config": "mrf_t1ff_net", "max_missing": "0.2"})
    assert selection.name == "mrf_t1ff_net"
    assert selection.settings == T1FFNetSettings(coils=5, archive="mine.pt", max_missing=0.2)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("archive", "/tmp/mine.pt", "no parameter 'archive'"),
        ("device", "cuda", "no parameter 'device'"),
        ("precision", "float32", "no parameter 'precision'"),
        ("network", "../../ours", "takes a name, not a path"),
        ("network", "/etc/passwd", "takes a name, not a path"),
    ],
)
def test_a_peer_chooses_networks_by_name_alone(name, value, sentence):
    with pytest.raises(ScanError, match=sentence):
        select("mrf_t1ff_net").with_parameters({name: value})


def test_warming_up_loads_the_operators_archive_and_says_when_it_cannot(tmp_path):
    path = write_toy_archive(tmp_path / "mine.pt")
    warm_up(T1FFNetSettings(archive=str(path), device="cpu", precision="float32"))
    assert (path.resolve(), "cpu", "float32") in MODEL_POOL._loaded
    with pytest.raises(ValueError, match="no network archive"):
        warm_up(T1FFNetSettings(archive=str(tmp_path / "absent.pt")))


def test_a_name_that_the_operator_gave_and_that_is_not_shipped_is_told_at_the_start():
    with pytest.raises(ValueError, match="There is no network 'unheard-of'; known are"):
        warm_up(T1FFNetSettings(network="unheard-of"))


def test_a_node_without_any_network_and_a_pipeline_without_one_warm_nothing(monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.chains.shipped_networks", dict)
    monkeypatch.setattr(
        "spokestream.pipelines.chains.shared_network", lambda settings: pytest.fail("nothing was asked for")
    )
    warm_up(T1FFNetSettings())
    warm_up(T1FFSettings())


def header_of(n_spokes, field_t=2.89):
    """An ISMRMRD header with trains of that many spokes."""
    trains = "".join(
        f"<{name}>{value}</{name}>" * n_spokes for name, value in (("TR", 6.0), ("TE", 2.39), ("flipAngle_deg", 5.0))
    )
    space = (
        "<matrixSize><x>{0}</x><y>{0}</y><z>1</z></matrixSize>"
        "<fieldOfView_mm><x>{0}</x><y>{0}</y><z>8</z></fieldOfView_mm>"
    )
    return (
        f"<ismrmrdHeader><acquisitionSystemInformation><systemFieldStrength_T>{field_t}</systemFieldStrength_T>"
        f"</acquisitionSystemInformation><encoding><encodedSpace>{space.format(64)}</encodedSpace>"
        f"<reconSpace>{space.format(32)}</reconSpace><trajectory>radial</trajectory></encoding>"
        f"<sequenceParameters>{trains}</sequenceParameters></ismrmrdHeader>"
    )


def net_selection(tmp_path, **contract):
    path = write_toy_archive(tmp_path / "mine.pt", sequence=load_sequence("t1ff-2d-1400"), **contract)
    return select("mrf_t1ff_net", settings=configure({"archive": str(path), "device": "cpu"}))


def test_a_train_of_another_length_is_told_from_the_network_s(tmp_path):
    with pytest.raises(ScanError, match="made for another sequence than this scan's: 1400 spokes against 96"):
        start_scan(net_selection(tmp_path), header_of(96), logging.getLogger("test"))


@pytest.mark.parametrize("field_t", [2.89, 3.0])
def test_the_network_says_how_its_scans_are_demodulated(tmp_path, field_t):
    xml = header_of(0, field_t)
    chain = start_scan(net_selection(tmp_path, demodulation_hz=-150.0), xml, logging.getLogger("test"))
    (readout,) = (gadget for gadget in chain.gadgets if isinstance(gadget, Readout))
    assert readout.demodulation_hz == pytest.approx(-150 * field_t / 2.89)
    chain.close()
    with pytest.raises(ScanError, match="no parameter 'demodulation_hz'"):
        select("mrf_t1ff_net").with_parameters({"demodulation_hz": "0"})
    assert vars(select("mrf_t1ff").with_parameters({"demodulation_hz": "0"}).settings)["demodulation_hz"] == 0
