import logging
from pathlib import Path

import numpy as np
import pytest
from small_scan import short_sequence
from toy_network import FIVE_MAPS, write_toy_archive

from spokestream.errors import FileError, InputError, ScanError
from spokestream.gadgets.consistency import Consistency
from spokestream.gadgets.map_denoising import MapDenoising
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.gadgets.pulse_correction import PulseCorrection
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.refinement import Refinement
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.pipelines.chains import PIPELINES, warm_up
from spokestream.pipelines.node.model_pool import MODEL_POOL
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.selection import configure, select, start_scan
from spokestream.pipelines.settings import SETTINGS, T1FFNetSettings, T1FFSettings, T1T2Settings
from spokestream.settings import declarations, layered
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary, save_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import frame_basis

SERVES = {"mrf_t1ff": "t1ff-2d-1400", "mrf_t1ff_net": "t1ff-2d-1400", "mrf_t1t2": "fisp-fang-2304"}


def test_every_pipeline_has_settings_and_takes_those_alone():
    assert {name: pipeline.settings for name, pipeline in PIPELINES.items()} == SETTINGS
    assert isinstance(select("mrf_t1ff").settings, T1FFSettings)
    assert isinstance(select("mrf_t1ff_net").settings, T1FFNetSettings)
    with pytest.raises(InputError, match="no parameter 'network'"):
        select("mrf_t1ff").with_parameters({"network": "ours"})
    with pytest.raises(InputError, match="no parameter 'basis'"):
        select("mrf_t1ff_net").with_parameters({"basis": "frames"})


def test_the_operators_values_go_to_the_pipelines_that_have_them():
    settings = configure({"virtual_coils": 5, "basis": "frames", "precision": "float32"})
    assert settings["mrf_t1ff"] == T1FFSettings(virtual_coils=5, basis="frames")
    assert settings["mrf_t1ff_net"] == T1FFNetSettings(virtual_coils=5, precision="float32")
    with pytest.raises(InputError, match="virtual_coils must be a whole number from 1 to 64, not 500"):
        configure({"virtual_coils": 500})


def test_a_peer_changes_the_pipeline_and_keeps_the_operators_settings():
    settings = configure({"virtual_coils": 5, "archive": "mine.pt"})
    selection = select("mrf_t1ff", settings=settings).with_parameters({"config": "mrf_t1ff_net", "max_missing": 0.2})
    assert selection.name == "mrf_t1ff_net"
    assert selection.settings == T1FFNetSettings(virtual_coils=5, archive=Path("mine.pt"), max_missing=0.2)


@pytest.mark.parametrize(
    ("sequence", "parameters", "pipeline", "settings"),
    [
        ("t1ff-2d-1400", {}, "mrf_t1ff", T1FFSettings()),
        ("t1ff-2d-1400", {"virtual_coils": "4"}, "mrf_t1ff", T1FFSettings(virtual_coils=4)),
        ("t1ff-2d-1400", {"network": "ours"}, "mrf_t1ff_net", T1FFNetSettings(network="ours")),
        ("fisp-fang-2304", {}, "mrf_t1t2", T1T2Settings()),
        ("fisp-fang-2304", {"max_missing": 0.2}, "mrf_t1t2", T1T2Settings(max_missing=0.2)),
    ],
)
def test_auto_takes_the_pipeline_with_the_given_settings_whose_maps_the_sequence_encodes(
    sequence, parameters, pipeline, settings
):
    selection = select("auto").with_parameters(parameters).of_sequence(load_sequence(sequence))
    assert (selection.name, selection.settings) == (pipeline, settings)


def test_auto_has_the_operators_settings_of_the_pipeline_that_it_takes():
    offered = configure({"virtual_coils": 5, "archive": "mine.pt", "basis": "frames"})
    found = select("", settings=offered).of_sequence(load_sequence("t1ff-2d-1400"))
    assert (found.name, found.settings) == ("mrf_t1ff", T1FFSettings(virtual_coils=5, basis="frames"))


def test_auto_refuses_settings_that_no_pipeline_for_the_sequence_has():
    with pytest.raises(InputError, match="No pipeline has the settings demodulation_hz and network together"):
        select("auto").with_parameters({"network": "ours", "demodulation_hz": 0, "virtual_coils": 4})
    with pytest.raises(InputError, match="no parameter 'nonsense'"):
        select("auto").with_parameters({"nonsense": 1})
    selection = select("auto").with_parameters({"demodulation_hz": 0, "virtual_coils": 4})
    with pytest.raises(
        InputError, match="'fisp-fang-2304' encodes T1 and T2, for which no pipeline has the setting demodulation_hz\\."
    ):
        selection.of_sequence(load_sequence("fisp-fang-2304"))


@pytest.mark.parametrize(
    ("name", "sequence", "advice"),
    [
        ("mrf_t1ff", "fisp-fang-2304", "The pipeline mrf_t1t2 can; ask for it, or for auto."),
        ("mrf_t1ff_net", "fisp-fang-2304", "The pipeline mrf_t1t2 can; ask for it, or for auto."),
        ("mrf_t1t2", "t1ff-2d-1400", "The pipeline mrf_t1ff can; ask for it, or for auto."),
    ],
)
def test_a_pipeline_that_cannot_map_the_sequence_names_the_one_that_can(name, sequence, advice):
    assert select(name).of_sequence(load_sequence(SERVES[name])).name == name
    with pytest.raises(ScanError, match=f"The pipeline {name} cannot map this scan: .*{advice}"):
        select(name).of_sequence(load_sequence(sequence))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("archive", "/tmp/mine.pt", "no parameter 'archive'"),
        ("device", "cuda", "no parameter 'device'"),
        ("precision", "float32", "no parameter 'precision'"),
        ("network", "../../ours", "takes a name, not a path"),
        ("network", "/etc/passwd", "takes a name, not a path"),
        ("network", "ours\n", "takes a name, not a path"),
        ("sequence", "mine.toml", "takes a name, not a path"),
        ("sequence", "mine.seq", "takes a name, not a path"),
    ],
)
def test_a_peer_chooses_networks_by_name_alone(name, value, sentence):
    with pytest.raises(InputError, match=sentence):
        select("mrf_t1ff_net").with_parameters({name: value})


@pytest.mark.parametrize("config", ["", "default", "openrecon", " OpenRecon.xml"])
def test_a_console_that_names_no_pipeline_gets_the_operators(config):
    assert select(config).name == "auto"
    assert select(config, default="mrf_t1ff_net").name == "mrf_t1ff_net"
    selection, _ = select(config, default="mrf_t1t2").as_console_asks({"config": "openrecon"})
    assert selection.name == "mrf_t1t2"
    selection, _ = select(config).as_console_asks({"config": "mrf_t1ff"})
    assert selection.name == "mrf_t1ff"


def test_names_of_a_console_may_lack_underscores_and_unknown_ones_are_ignored():
    asked = {"config": "mrft1ffnet", "virtualcoils": 4, "maxMissing": "0.2", "options": "x", "threads": 9}
    selection, unknown = select("openrecon").as_console_asks(asked)
    assert (selection.name, unknown) == ("mrf_t1ff_net", ["options", "threads"])
    assert selection.settings == T1FFNetSettings(virtual_coils=4, max_missing=0.2)
    with pytest.raises(InputError, match="virtual_coils must be a whole number"):
        select("openrecon").as_console_asks({"virtualcoils": "many"})
    with pytest.raises(InputError, match="no pipeline 'liver'"):
        select("openrecon").as_console_asks({"config": "liver"})


def test_no_two_settings_or_pipelines_differ_only_in_underscores():
    for names in (*(declarations(settings) for settings in SETTINGS.values()), PIPELINES):
        assert len({name.replace("_", "").lower() for name in names}) == len(names)


@pytest.mark.parametrize("given", [4, "4", 4.0, " 4 "])
def test_a_scanner_sends_numbers_as_numbers_or_as_text(given):
    assert select("mrf_t1ff").with_parameters({"virtual_coils": given}).settings.virtual_coils == 4


@pytest.mark.parametrize(
    "given", [True, None, [4], {"n": 4}, 4.5, "four", "", float("nan"), float("inf"), 10**400, "9" * 5000]
)
def test_a_scanner_s_other_values_are_refused_in_one_short_sentence(given):
    with pytest.raises(
        InputError, match=r"^The setting virtual_coils must be a whole number from 1 to 64, not .*\.$"
    ) as e:
        select("mrf_t1ff").with_parameters({"virtual_coils": given})
    assert len(str(e.value)) < 150


def test_properties_of_a_configuration_are_read():
    xml = '<configuration pipeline="mrf_t1ff"><property name="virtual_coils" value="4"/></configuration>'
    assert select(xml).settings == T1FFSettings(virtual_coils=4)
    with pytest.raises(InputError, match="root element is <config>"):
        select("<config/>")


PEER = {"max_missing": 0.4}
LINE = {"max_missing": 0.3, "threads": 3}
SITE = {"max_missing": 0.2, "threads": 5, "port": 1234}


@pytest.mark.parametrize(
    ("site", "line", "peer", "max_missing", "threads", "port"),
    [
        ({}, {}, {}, 0.1, 2, 9002),
        (SITE, {}, {}, 0.2, 5, 1234),
        ({}, LINE, {}, 0.3, 3, 9002),
        (SITE, LINE, {}, 0.3, 3, 1234),
        (SITE, {}, PEER, 0.4, 5, 1234),
        ({}, LINE, PEER, 0.4, 3, 9002),
        (SITE, LINE, PEER, 0.4, 3, 1234),
        (SITE, LINE | {"port": 99}, PEER, 0.4, 3, 99),
    ],
)
def test_the_default_gives_way_to_the_file_to_the_command_line_to_the_scanner(
    site, line, peer, max_missing, threads, port
):
    selection = select("mrf_t1ff", settings=configure(site, line)).with_parameters(peer)
    assert selection.settings == T1FFSettings(max_missing=max_missing, threads=threads)
    assert layered(ServerSettings(), site, line) == ServerSettings(port=port)


def test_no_setting_of_the_server_has_the_name_of_a_pipeline_s_setting():
    for settings in SETTINGS.values():
        assert not declarations(ServerSettings).keys() & declarations(settings).keys()


def test_warming_up_loads_the_operators_archive_and_says_when_it_cannot(tmp_path):
    path = write_toy_archive(tmp_path / "mine.pt")
    warm_up(T1FFNetSettings(archive=path, device="cpu", precision="float32"))
    assert (path.resolve(), "cpu", "float32") in MODEL_POOL._loaded
    with pytest.raises(FileError, match="no network archive"):
        warm_up(T1FFNetSettings(archive=tmp_path / "absent.pt"))


def test_a_name_that_the_operator_gave_and_that_is_not_shipped_is_told_at_the_start():
    with pytest.raises(InputError, match="There is no network 'unheard-of'; known are"):
        warm_up(T1FFNetSettings(network="unheard-of"))


def test_a_node_without_any_network_and_a_pipeline_without_one_warm_nothing(monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.chains.shipped_networks", dict)
    monkeypatch.setattr(
        "spokestream.pipelines.chains.shared_network", lambda settings: pytest.fail("nothing was asked for")
    )
    warm_up(T1FFNetSettings())
    warm_up(T1FFSettings())
    warm_up(select("auto").settings)


def header_of(n_spokes, field_t=2.89):
    """An ISMRMRD header with trains of that many spokes, of three echo times."""
    values = {"TR": (6.0,), "TE": (2.2, 3.3, 2.39), "flipAngle_deg": (5.0,)}
    trains = "".join(
        f"<{name}>{some[i * len(some) // n_spokes]}</{name}>" for name, some in values.items() for i in range(n_spokes)
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


def test_a_dictionary_of_another_length_is_refused_before_anything_is_computed_with_it(tmp_path):
    grid = Grid(*(np.array(axis) for axis in ([1000.0], [300.0], [0.7], [0.0])))
    save_dictionary(tmp_path / "long.h5", build_dictionary(load_sequence("t1ff-2d-1400"), grid))
    selection = select("mrf_t1ff", settings=configure({"dictionary": str(tmp_path / "long.h5")}))
    with pytest.raises(ScanError, match="made for another sequence than this scan's: 1400 spokes against 96"):
        start_scan(selection, header_of(96), logging.getLogger("test"))


def net_selection(tmp_path, **contract):
    contract = {"sequence": load_sequence("t1ff-2d-1400"), "outputs": FIVE_MAPS, **contract}
    path = write_toy_archive(tmp_path / "mine.pt", **contract)
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
    with pytest.raises(InputError, match="no parameter 'demodulation_hz'"):
        select("mrf_t1ff_net").with_parameters({"demodulation_hz": "0"})
    assert vars(select("mrf_t1ff").with_parameters({"demodulation_hz": "0"}).settings)["demodulation_hz"] == 0


def test_a_network_of_single_frames_has_no_consistent_images(tmp_path):
    basis = frame_basis(load_sequence("t1ff-2d-1400"))
    selection = net_selection(tmp_path, basis=basis, channels=2 * len(basis.te_ms))
    selection = selection.with_parameters({"images": "consistent"})
    with pytest.raises(InputError, match="maps other images than those of the adjoint in a compressed basis"):
        start_scan(selection, header_of(0), logging.getLogger("test"))


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({}, [["adjoint"]]),
        ({"images": "consistent"}, [["consistent", "adjoint"]]),
        ({"denoise": "off"}, []),
        ({"refine": "off"}, []),
        ({"basis": "frames", "refine": "on"}, []),
        ({"images": "iterative"}, []),
    ],
)
def test_refined_maps_of_matching_are_denoised_by_default(settings, images):
    """The pixels of this header are of 1 mm, as in training. Slices that cannot be made consistent have a denoiser."""
    chain = start_scan(select("mrf_t1ff").with_parameters(settings), header_of(0), logging.getLogger("test"))
    found = [gadget for gadget in chain.gadgets if isinstance(gadget, MapDenoising)]
    chain.close()
    assert [list(gadget._denoisers) for gadget in found] == images


def test_consistent_images_of_a_network_without_a_denoiser_are_not_denoised_unless_somebody_asks(tmp_path):
    selection = net_selection(tmp_path).with_parameters({"images": "consistent"})
    chain = start_scan(selection, header_of(0), logging.getLogger("test"))
    kinds = [type(gadget) for gadget in chain.gadgets]
    chain.close()
    assert Consistency in kinds
    assert MapDenoising not in kinds
    with pytest.raises(
        InputError,
        match=r"There is no denoiser for maps by the network [0-9a-f]+ in consistent images; leave out denoise",
    ):
        start_scan(selection.with_parameters({"denoise": "on"}), header_of(0), logging.getLogger("test"))


@pytest.mark.parametrize(
    ("name", "parameters", "refined"),
    [
        ("mrf_t1ff", {}, True),
        ("mrf_t1ff", {"refine": "auto", "images": "iterative"}, True),
        ("mrf_t1ff", {"basis": "frames"}, False),
        ("mrf_t1ff", {"refine": "off"}, False),
        ("mrf_t1ff_net", {}, False),
        ("mrf_t1ff_net", {"refine": "on"}, True),
        ("mrf_t1t2", {"sequence": "fisp-song-200"}, False),
    ],
)
def test_the_pipeline_chooses_refinement_unless_the_settings_do(tmp_path, name, parameters, refined):
    selection = net_selection(tmp_path) if name == "mrf_t1ff_net" else select(name)
    chain = start_scan(selection.with_parameters(parameters), header_of(0), logging.getLogger("test"))
    assert any(isinstance(gadget, Refinement) for gadget in chain.gadgets) == refined
    chain.close()


@pytest.mark.parametrize(("refine", "corrected"), [("auto", True), ("on", True), ("off", False)])
def test_matched_t1_and_t2_are_corrected_for_the_pulses_after_they_were_checked(refine, corrected):
    selection = select("mrf_t1t2").with_parameters({"sequence": "fisp-song-200", "refine": refine})
    chain = start_scan(selection, header_of(0), logging.getLogger("test"))
    kinds = [type(gadget) for gadget in chain.gadgets]
    chain.close()
    assert (PulseCorrection in kinds) == corrected
    if corrected:
        assert kinds.index(PulseCorrection) == kinds.index(PhysicsCheck) + 1


def test_settings_of_a_window_are_refused_where_there_is_none():
    asked = select("mrf_t1t2").with_parameters({"sequence": "fisp-song-200", "stride": 24})
    log = logging.getLogger("test")
    sentence = "The setting stride changes nothing with basis=compressed; leave out stride, or take basis=window."
    with pytest.raises(InputError, match=sentence):
        start_scan(asked, header_of(0), log)
    both = asked.with_parameters({"window": 12, "basis": "frames"})
    with pytest.raises(InputError, match="The settings stride and window change nothing with basis=frames"):
        start_scan(both, header_of(0), log)
    start_scan(both.with_parameters({"basis": "window", "images": "adjoint"}), header_of(0), log).close()


def test_an_operator_s_window_is_for_the_scans_that_ask_for_windows():
    asked = select("mrf_t1t2", settings=configure({"window": 12})).with_parameters({"sequence": "fisp-song-200"})
    start_scan(asked, header_of(0), logging.getLogger("test")).close()


@pytest.mark.parametrize("asked", [{"refine": "on"}, {"images": "consistent"}])
def test_maps_that_a_network_does_not_give_cannot_be_refined(asked, tmp_path):
    write_toy_archive(tmp_path / "toy.pt")
    scan = simulated_scan(short_sequence(), 1)
    settings = T1FFNetSettings(archive=tmp_path / "toy.pt", **asked)
    with pytest.raises(InputError, match="'toy' does not give all of ff, t1h2o, t1fat, deltaf, b1, so that its maps"):
        PIPELINES["mrf_t1ff_net"].build(scan, settings)


def test_a_configuration_has_a_limit_of_elements():
    properties = '<property name="virtual_coils" value="4"/>' * 1000
    with pytest.raises(ScanError, match="The configuration has more than 1000 XML elements"):
        select(f'<configuration pipeline="mrf_t1ff">{properties}</configuration>')
