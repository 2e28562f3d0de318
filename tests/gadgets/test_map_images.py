import logging
import math
from dataclasses import replace

import ismrmrd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spokestream.errors import FileError, InputError, ScanError
from spokestream.gadgets.map_images import MapImages
from spokestream.gadgets.messages import Geometry, ParameterMaps
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.stored_maps.levels import fit_to_scan, stored_to_physical, to_stored
from spokestream.simulator.physics.quantities import AT_LIMIT, MISFIT, QUANTITIES, TRUSTED
from spokestream.simulator.physics.sequences.loading import load_sequence

SHAPE = (5, 7)
GEOMETRY = Geometry(
    position_mm=(11.5, -22.25, 33.0),
    read_dir=(0.6, 0.8, 0.0),
    phase_dir=(-0.8, 0.6, 0.0),
    slice_dir=(0.0, 0.0, 1.0),
    table_position_mm=(1.0, 2.0, -300.5),
    fov_mm=(350.0, 250.0, 8.0),
    measurement_uid=77,
    acquisition_time_stamp=123456,
    physiology_time_stamp=(3, 2, 1),
)


@pytest.fixture
def scan():
    header = ScanHeader("", (14, 14, 1), (700, 700, 8), (7, 5, 1), (350, 250, 8))
    return ScanContext(
        header, load_sequence("t1ff-2d-1400"), provenance={"trajectory": "golden angle", "noise": "none"}
    )


def parameter_maps(slice_index=0, **maps):
    rng = np.random.default_rng(3)
    if not maps:
        ranges = {"correlation": (0, 1), "ff": (0, 1), "t1h2o": (100, 4000), "t1fat": (50, 700), "deltaf": (-250, 250)}
        ranges |= {"b1": (0.1, 2), "phase": (-math.pi, math.pi), "pd": (0, 3e-4)}
        maps = {name: rng.uniform(*r, SHAPE).astype(np.float32) for name, r in ranges.items()}
    return ParameterMaps(maps, slice_index, GEOMETRY, np.ones(next(iter(maps.values())).shape, bool))


def images_of(scan, *messages, dtype="uint16"):
    gadget = MapImages(scan, dtype)
    images = [image for message in messages for image in gadget.feed(message)]
    gadget.close()
    return images


def test_one_image_a_map_in_the_documented_order_and_series(scan):
    images = images_of(scan, parameter_maps())
    assert [(i.meta["spokestream_map"], i.image_series_index) for i in images] == [
        ("ff", 101), ("t1h2o", 102), ("t1fat", 103), ("deltaf", 104), ("b1", 105), ("pd", 106), ("phase", 107),
        ("correlation", 108),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_values_survive_the_wire_to_half_a_step(scan, dtype):
    message = parameter_maps()
    steps = {"ff": 0.00025, "t1h2o": 1, "t1fat": 1, "deltaf": 0.125, "b1": 0.0005, "phase": 0.002, "pd": 3e-4 / 512}
    for image in images_of(scan, message, dtype=dtype):
        received = ismrmrd.Image.from_bytes(image.to_bytes())
        name, unit, values = stored_to_physical(received)
        assert received.data.dtype == dtype
        assert unit == QUANTITIES[name].unit
        assert values.shape == SHAPE
        assert values.dtype == np.float32
        tolerance = 0 if dtype == "float32" else 0.5001 * steps.get(name, 0.00025)
        ff = message.maps["ff"]  # no value lies within a step of the limits of the rules
        valid = {"t1h2o": ff < 0.7, "t1fat": ff > 0.3}.get(name, np.ones(SHAPE, bool))
        np.testing.assert_allclose(values[valid], message.maps[name][valid], rtol=1e-6, atol=tolerance)
        assert not values[~valid].any()
        assert received.meta["spokestream_count_clipped"] == "0"


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_map_is_zero_where_its_rule_or_the_foreground_excludes_it(scan, dtype):
    # 0.69995 and 0.30005 are stored as 0.7 and 0.3, which is what a reader of the integers compares with the rule
    ff = np.array([[0.0, 0.29, 0.30005, 0.31, 0.69, 0.69995, 0.71, 0.0]], np.float32)
    maps = {"ff": ff} | {name: np.full_like(ff, 600) for name in ("t1h2o", "t1fat", "t1h2o_std", "t1fat_std")}
    maps["deltaf"] = np.full_like(ff, -7)
    foreground = np.array([[1, 1, 1, 1, 1, 1, 1, 0]], bool)
    images = images_of(scan, ParameterMaps(maps, 0, GEOMETRY, foreground), dtype=dtype)
    values = {name: shown[0].tolist() for name, _, shown in map(stored_to_physical, images)}
    exact = dtype == "float32"
    assert [v > 0 for v in values["t1h2o"]] == [True] * 5 + [exact, False, False]
    assert [v > 0 for v in values["t1fat"]] == [False, False, exact, True, True, True, True, False]
    assert [v > 0 for v in values["t1h2o_std"]] == [v > 0 for v in values["t1h2o"]]
    assert [v > 0 for v in values["t1fat_std"]] == [v > 0 for v in values["t1fat"]]
    assert values["deltaf"] == [-7] * 7 + [0]
    rules = {image.meta["spokestream_map"]: image.meta["spokestream_valid"] for image in images}
    assert rules == {
        "ff": "tissue", "deltaf": "tissue", "t1h2o": "FF < 0.7", "t1fat": "FF > 0.3", "t1h2o_std": "FF < 0.7",
        "t1fat_std": "FF > 0.3",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_the_codes_of_the_map_of_trust_are_stored_exactly_and_explained(scan, dtype):
    codes = np.array([[TRUSTED, MISFIT, AT_LIMIT, 2, -4, -17]], np.float32)
    (image,) = images_of(scan, parameter_maps(trust=codes), dtype=dtype)
    assert stored_to_physical(image)[2].tolist() == codes.tolist()
    assert image.meta["spokestream_codes"].split("; ") == [
        "-17 T2 should be lower", "-4 Off-resonance should be lower", "0 trusted", "2 Water T1 should be higher",
        "10 the signal contradicts the maps", "20 a value is at a limit of the method",
    ]  # fmt: skip


def test_the_counts_of_pixels_do_not_hide_those_of_spokes(scan):
    scan.integrity.record(0, "not_finite", 3)
    (image,) = images_of(scan, parameter_maps(b1=np.array([[np.nan, 1.0]], np.float32)))
    assert image.meta["spokestream_count_not_finite"] == "3"
    assert image.meta["spokestream_count_not_a_number"] == "1"


def test_stored_integers_follow_the_contract(scan):
    values = np.array([[0.0, 0.5, 1.0]], np.float32)
    (image,) = images_of(scan, parameter_maps(ff=values))
    assert image.data.tolist() == [[[[0, 2000, 4000]]]]
    (image,) = images_of(scan, parameter_maps(deltaf=np.array([[-256.0, 0.0, 0.125]], np.float32)))
    assert image.data.tolist() == [[[[0, 2048, 2049]]]]


@pytest.mark.parametrize("kind", [k for k in QUANTITIES.values() if k.series and k.slope], ids=lambda k: k.name)
def test_the_whole_window_of_every_kind_fits_twelve_bits(kind):
    assert kind.offset <= kind.low < kind.high <= kind.offset + 4095 * kind.slope
    # finer than the eye and the noise; codes are whole steps
    assert kind.codes or (kind.high - kind.low) / kind.slope >= 300


def test_values_outside_the_range_are_clipped_and_counted(scan):
    values = np.array([[-300.0, -256.0, 255.875, 256.0, 70000.0, 1e30]], np.float32)
    (image,) = images_of(scan, parameter_maps(deltaf=values))
    assert image.data.ravel().tolist() == [0, 0, 4095, 4095, 4095, 4095]
    assert image.meta["spokestream_count_clipped"] == "4"


def test_nan_is_stored_as_zero_counted_and_logged(scan, caplog):
    values = np.array([[np.nan, np.inf, -np.inf, 8.0]], np.float32)
    for dtype in ("uint16", "float32"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            (image,) = images_of(scan, parameter_maps(deltaf=values), dtype=dtype)
        assert stored_to_physical(image)[2].tolist() == [[0, 0, 0, 8]]
        assert image.meta["spokestream_count_not_a_number"] == "3"
        assert image.meta["spokestream_count_clipped"] == "0"
        assert "Off-resonance of slice 1 has 3 pixels" in caplog.text


@given(
    st.floats(-1e6, 1e6, width=32), st.floats(0.001, 100), st.floats(-1000, 1000), st.sampled_from([4095, 32767, 65535])
)
def test_stored_values_are_within_half_a_step_or_counted_as_clipped(value, slope, offset, ceiling):
    stored, clipped = to_stored(np.array([value], np.float32), slope, offset, ceiling)
    assert stored[0] == int(stored[0])
    assert 0 <= stored[0] <= ceiling
    inside = -0.5 <= (value - offset) / slope <= ceiling + 0.5
    if clipped:
        assert stored[0] in (0, ceiling)
        assert not -0.499 < (value - offset) / slope < ceiling + 0.499
    else:
        assert inside
        assert abs(stored[0] * slope + offset - value) <= 0.5001 * slope + 1e-6


def test_bits_stored_in_the_header_give_more_room_or_are_refused(scan):
    hot = parameter_maps(t1h2o=np.full(SHAPE, 40000, np.float32))

    def with_bits(text):
        return ScanContext(replace(scan.header, user={"BitsStored": text}), scan.sequence)

    assert images_of(with_bits("16"), hot)[0].data.max() == 40000
    assert images_of(with_bits("16"), hot, dtype="int16")[0].data.max() == 32767
    assert images_of(with_bits("12.0"), hot)[0].data.max() == 4095
    for bad in ("8", "17", "many", "inf", "nan"):
        with pytest.raises(ScanError, match="need 12 to 16"):
            images_of(with_bits(bad), hot)


def test_proton_density_keeps_one_slope_for_the_whole_scan(scan):
    first = np.full(SHAPE, 3.0, np.float32)
    images = images_of(scan, parameter_maps(pd=first), parameter_maps(1, pd=first * 3.9))
    slopes = {float(i.meta["RescaleSlope"]) for i in images}
    assert slopes == {2.0**-8}  # 3 is stored as 768: between 512 and 1024
    assert [int(i.data[0, 0, 0, 0]) for i in images] == [768, 2995]
    assert images[0].meta["WindowCenter"] == "512"
    assert images[0].meta["WindowWidth"] == "1024"


@pytest.mark.parametrize("scale", [1e-12, 0.7, 1.0, 3e7])
def test_a_fitted_slope_uses_the_bits_whatever_the_scale(scale):
    kind = fit_to_scan(QUANTITIES["pd"], np.full(50, scale, np.float32))
    assert 512 <= np.float32(scale) / kind.slope < 1024
    assert math.frexp(kind.slope)[0] == 0.5


def test_an_empty_slice_is_stored_without_dividing_by_zero(scan):
    zero = np.zeros(SHAPE, np.float32)
    message = ParameterMaps({"pd": zero}, 0, GEOMETRY, np.zeros(SHAPE, bool))
    (image,) = images_of(scan, message)
    assert image.data.max() == 0
    assert stored_to_physical(image)[2].max() == 0


def test_geometry_and_time_stamps_are_those_of_the_slice(scan):
    image = images_of(scan, parameter_maps(slice_index=4))[0]
    head = ismrmrd.Image.from_bytes(image.to_bytes()).getHead()
    assert tuple(head.matrix_size) == (7, 5, 1)
    assert head.channels == 1
    assert (head.slice, head.image_index) == (4, 5)
    assert head.measurement_uid == 77
    assert head.acquisition_time_stamp == 123456
    assert tuple(head.physiology_time_stamp) == (3, 2, 1)
    for field, expected in {
        "field_of_view": GEOMETRY.fov_mm, "position": GEOMETRY.position_mm, "read_dir": GEOMETRY.read_dir,
        "phase_dir": GEOMETRY.phase_dir, "slice_dir": GEOMETRY.slice_dir,
        "patient_table_position": GEOMETRY.table_position_mm,
    }.items():  # fmt: skip
        assert tuple(getattr(head, field)) == tuple(np.float32(expected).tolist()), field


def test_x_runs_along_the_rows_of_the_wire(scan):
    ramp = np.zeros(SHAPE, np.float32)
    ramp[1, 2] = 1
    (image,) = images_of(scan, parameter_maps(ff=ramp))
    pixels = np.frombuffer(image.to_bytes()[-2 * ramp.size :], "<u2")
    assert np.flatnonzero(pixels).tolist() == [1 * SHAPE[1] + 2]


def test_both_dialects_say_the_same(scan):
    for image in images_of(scan, parameter_maps()):
        meta = ismrmrd.Image.from_bytes(image.to_bytes()).meta
        slope, intercept = float(meta["RescaleSlope"]), float(meta["RescaleIntercept"])
        ratio, offset = float(meta["GADGETRON_ScaleRatio"]), float(meta["GADGETRON_ScaleOffset"])
        stored = np.array([0, 17, 4095])
        np.testing.assert_allclose((stored - offset) / ratio, stored * slope + intercept, atol=1e-9)
        assert meta["GADGETRON_WindowCenter"] == meta["WindowCenter"]
        assert meta["GADGETRON_WindowWidth"] == meta["WindowWidth"]
        low = (int(meta["WindowCenter"]) - int(meta["WindowWidth"]) / 2) * slope + intercept
        high = (int(meta["WindowCenter"]) + int(meta["WindowWidth"]) / 2) * slope + intercept
        kind = QUANTITIES[meta["spokestream_map"]]
        assert low == pytest.approx(kind.low, abs=slope)
        if kind.high is not None:
            assert high == pytest.approx(kind.high, abs=slope)
        assert meta["GADGETRON_DataRole"] == kind.role
        assert meta["DataRole"] == "Quantitative"
        assert meta["Keep_image_geometry"] == "1"
        assert [float(x) for x in meta["ImageRowDir"]] == [0.6, 0.8, 0.0]
        assert [float(x) for x in meta["ImageColumnDir"]] == [-0.8, 0.6, 0.0]
        assert all(len(x.split(".")[1]) == 18 for x in meta["ImageRowDir"])
        assert meta["GADGETRON_ImageComment"] == meta["ImageComments"]
        assert meta["SequenceDescriptionAdditional"] == f"mrf_{kind.name}"


def test_floats_carry_no_window_and_no_rescaling(scan):
    for image in images_of(scan, parameter_maps(), dtype="float32"):
        assert (image.meta["RescaleSlope"], image.meta["RescaleIntercept"]) == ("1.0", "0.0")
        assert "WindowCenter" not in image.meta


def test_provenance_and_integrity_travel_and_nothing_depends_on_the_clock(scan):
    scan.provenance["protocol"] = "thigh\x00 <1>\n"
    scan.integrity.record(0, "missing", 3)
    first, second = (images_of(scan, parameter_maps())[0] for _ in range(2))
    assert first.to_bytes() == second.to_bytes()
    meta = ismrmrd.Image.from_bytes(first.to_bytes()).meta
    assert meta["spokestream_trajectory"] == "golden angle"
    assert meta["spokestream_protocol"] == "thigh  <1> "
    assert meta["spokestream_count_missing"] == "3"
    assert meta["spokestream_version"]


def test_an_unknown_map_or_pixel_type_is_refused_in_words(scan):
    with pytest.raises(ScanError, match="unknown kind 't9'"):
        images_of(scan, parameter_maps(t9=np.zeros(SHAPE, np.float32)))
    with pytest.raises(InputError, match="uint16, int16, float32"):
        MapImages(scan, "uint8")


def test_foreign_images_are_not_taken_for_maps(scan):
    image = images_of(scan, parameter_maps())[0]
    foreign = ismrmrd.Image(head=image.getHead())
    with pytest.raises(FileError, match="not a map of spokestream"):
        stored_to_physical(foreign)
    image.meta["RescaleSlope"] = "steep"
    with pytest.raises(FileError, match="not a map of spokestream"):
        stored_to_physical(image)


def test_metadata_survive_an_hdf5_file(scan, tmp_path):
    image = images_of(scan, parameter_maps())[3]
    with ismrmrd.Dataset(tmp_path / "m.h5", mode="w") as file:
        file.append_image("image_104", image)
    with ismrmrd.Dataset(tmp_path / "m.h5", mode="r") as file:
        back = file.read_image("image_104", 0)
    np.testing.assert_array_equal(stored_to_physical(back)[2], stored_to_physical(image)[2])
    assert dict(back.meta) == dict(image.meta)


@pytest.mark.parametrize(("factor", "words"), [(9.0, "beyond"), (1 / 20, "far below")])
def test_a_slice_that_the_scale_of_the_first_does_not_fit_gets_its_own_with_a_warning(scan, caplog, factor, words):
    first = np.full(SHAPE, 3.0, np.float32)
    with caplog.at_level(logging.WARNING):
        images = images_of(
            scan, *(parameter_maps(i, pd=first * factor**i) for i in (0, 1)), parameter_maps(2, pd=first)
        )
    np.testing.assert_allclose(stored_to_physical(images[1])[2], 3 * factor, rtol=0.002)
    (warned,) = [r.getMessage() for r in caplog.records if "another scale" in r.getMessage()]
    assert "of slice 2, and of others like it" in warned
    assert words in warned


def test_a_slice_without_values_leaves_the_scale_to_the_next(scan, caplog):
    faint = np.full(SHAPE, 3e-5, np.float32)
    with caplog.at_level(logging.WARNING):
        _, image = images_of(scan, parameter_maps(pd=0 * faint), parameter_maps(1, pd=faint))
    np.testing.assert_allclose(stored_to_physical(image)[2], 3e-5, rtol=0.002)
    assert caplog.records == []
