"""The report of a reconstruction: its numbers, and the page in a real browser where the machine has one."""

import asyncio
import json
import re
from dataclasses import asdict

import ismrmrd
import numpy as np
import pytest
from browser import CHROMIUM, browser_tab
from map_image_examples import example_images
from matplotlib.colors import to_rgb

from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.pipelines.files.outputs import ReconstructionReport, scan_maps, write_outputs
from spokestream.pipelines.files.report.numbers import like, number
from spokestream.pipelines.files.report.page import report_page
from spokestream.simulator.physics.colour_scales import TRUST, colour_map, colour_scale
from spokestream.simulator.physics.quantities import QUANTITIES, TRUSTED, wrong_code

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
WARNING = "Slice 1 </script><b>is</b> odd."


def report():
    made = ReconstructionReport("in/scan<1>.h5", "mrf_t1ff", 1400, 9, 2.345, 0.5, 99.6, {"images": "iterative"})
    made.warnings = [WARNING]
    return made


def with_spread(images):
    """The images, and for water T1 a map of its standard deviation: 21 ms in all voxels of tissue."""
    extra = []
    for image in images:
        if image.meta["spokestream_map"] == "t1h2o":
            copy = type(image)(head=image.getHead(), data=np.where(image.data > 0, 21, 0).astype(np.uint16))
            copy.meta = ismrmrd.Meta({**image.meta, "spokestream_map": "t1h2o_std"})
            copy.image_series_index = QUANTITIES["t1h2o_std"].series
            extra.append(copy)
    return [*images, *extra]


def with_trust(images, code):
    """The images, and a map of trust that has the code in 30 voxels of tissue and trusts the other 40."""
    copies = []
    for image in images:
        if image.meta["spokestream_map"] == "ff":
            tissue = np.flatnonzero(image.data.ravel() > 0)
            levels = np.full(image.data.size, TRUSTED + 32, np.uint16)
            levels[tissue[40:]] = code + 32
            copy = type(image)(head=image.getHead(), data=levels.reshape(image.data.shape))
            copy.meta = ismrmrd.Meta(
                {**image.meta, "spokestream_map": "trust", "RescaleSlope": "1.0", "RescaleIntercept": "-32.0"}
            )
            copy.image_series_index = QUANTITIES["trust"].series
            copies.append(copy)
    return [*images, *copies]


def tables_of(text):
    """Caption -> rows of the texts of the cells."""
    return {
        caption: [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", rows)]
        for caption, rows in re.findall(r"<table><caption>(.*?)</caption>(.*?)</table>", text)
    }


def stored(images, name, z):
    for image in images:
        found, _, values = stored_to_physical(image)
        if (found, image.slice) == (name, z):
            return values
    raise AssertionError(name)


def test_the_table_gives_number_mean_and_spread_of_the_valid_voxels():
    images = with_spread(example_images(3))
    found = tables_of(report_page(scan_maps(images), asdict(report())))
    t1 = np.concatenate([stored(images, "t1h2o", z)[stored(images, "t1h2o", z) > 0] for z in range(3)])
    expected = [f"{t1.size}", f"{t1.mean():.0f}", f"{t1.std(ddof=1):.0f}", f"{np.median(t1):.0f}", "21.0"]
    assert t1.size == 3 * 70
    rows = {row[0]: row[1:] for row in found["All slices"]}
    assert rows["Water T1 (ms) where FF &lt; 0.7"] == expected
    assert rows["Fat fraction"][-1] == "–"  # it has no map of its standard deviation
    (second,) = (table for caption, table in found.items() if caption.startswith("Slice 2"))
    (row,) = (row for row in second if row[0].startswith("Water T1"))
    assert row[1:3] == ["70", f"{t1[70:140].mean():.1f}"]


def test_counts_timings_settings_and_provenance_are_those_of_the_report(tmp_path):
    written = write_outputs(tmp_path, example_images(3), "<x/>", report())
    text = (tmp_path / "report.html").read_text()
    found = tables_of(text)
    head, *rows = found["Counts by slice"]
    assert [row[head.index("missing")] for row in rows] == ["0", "1", "2"]
    assert ["Latency", "0.50 s", "Time from the last readout to the last map."] in found["How long it took"]
    assert ["Readouts", "1400", "Number of readouts, noise readouts included."] in found["How long it took"]
    assert ["images", "iterative"] in found["Settings"]
    assert ["trajectory", "embedded", "The source of the trajectory."] in found["How the maps were made"]
    assert "report.html" in written.files
    assert json.loads((tmp_path / "report.json").read_text())["files"] == written.files


def test_texts_of_a_scan_are_no_html_and_the_page_names_no_other_site():
    images = example_images()
    for image in images:
        image.meta["spokestream_trajectory"] = "<img src=x>"
    text = report_page(scan_maps(images), asdict(report()))
    assert "<b>is</b>" not in text
    assert "<img" not in text
    assert "<h1>Maps of scan&lt;1&gt;.h5</h1>" in text
    assert "default-src &#x27;none&#x27;" in text
    assert re.findall(r"https?://[\w./]+", text) == ["http://www.w3.org/2000/svg"]  # the name of a standard


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.12345, "1", "0.123"), (99.94, "ms", "99.9"), (1234.5, "ms", "1234"), (-56.78, "Hz", "-56.8"),
        (0.00123456, "a.u.", "0.00123"), (12345.6, "a.u.", "12300"), (float("nan"), "ms", "–"),
    ],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_maps_are_precise(value, unit, text):
    assert number(value, unit) == text


def test_a_mean_has_the_decimals_of_its_standard_deviation():
    assert [like(1362.49, number(sd, "ms"), "ms") for sd in (40.5, 140.5, float("nan"))] == ["1362.5", "1362", "1362"]
    assert like(1.7, number(0.1254, "a.u."), "a.u.") == "1.700"
    assert like(2e-5, number(1.234e-6, "a.u."), "a.u.") == "2e-05"
    assert like(float("nan"), "40.5", "ms") == "–"


@pytest.fixture
def browse(tmp_path):
    """Run `scenario(tab)` with the page of some images, which the browser opens from the disk."""

    def run(scenario, images):
        async def all_of_it():
            path = tmp_path / "page.html"
            path.write_text(report_page(scan_maps(images), asdict(report())), "utf-8")
            async with browser_tab() as tab:
                await tab.open(path.as_uri())
                await tab.until("!document.getElementById('maps').hidden")
                await scenario(tab)
                assert tab.problems == []

        asyncio.run(all_of_it())

    return run


FIGURE = "document.querySelector('figure[data-map={}]')"


async def focus(tab, name):
    await tab.value(f"{FIGURE.format(name)}.querySelector('.map').focus()")


@needs_browser
def test_a_reader_works_with_the_maps_by_keyboard(browse):
    images = with_spread(example_images(3))
    quantity = QUANTITIES["t1h2o"]

    async def value(tab, name):
        return float(await tab.value(f"{FIGURE.format(name)}.querySelector('.value').dataset.value"))

    async def pixel(tab, name, x, y):
        context = f"{FIGURE.format(name)}.querySelector('.map canvas').getContext('2d')"
        return await tab.value(f"[...{context}.getImageData({x}, {y}, 1, 1).data].slice(0, 3)")

    async def scenario(tab):
        assert await tab.value("document.querySelectorAll('figure').length") == 3
        assert await tab.value("document.getElementById('trouble').hidden")
        # the cursor begins in the middle (7, 4) and moves to (8, 4)
        await focus(tab, "t1h2o")
        await tab.press("ArrowRight")
        assert await value(tab, "t1h2o") == stored(images, "t1h2o", 0)[4, 8]
        assert await value(tab, "ff") == stored(images, "ff", 0)[4, 8]
        said = await tab.value("document.getElementById('announcement').textContent")
        assert f"Water T1, (8, 4): {stored(images, 't1h2o', 0)[4, 8]:.0f} ms" in said
        # Page Down shows the next slice and keeps focus and cursor
        await tab.press("PageDown")
        await tab.until("document.getElementById('slice-name').textContent.startsWith('Slice 2')")
        await tab.until(f"{FIGURE.format('t1h2o')}.querySelector('.map') === document.activeElement")
        shown = stored(images, "t1h2o", 1)[4, 8]
        assert await value(tab, "t1h2o") == shown
        # the colour is that of the figures
        scale = colour_scale(quantity, quantity.low, quantity.high)
        expected = np.rint(255 * np.array(colour_map(quantity.colours)(scale(shown)))[:3])
        assert await pixel(tab, "t1h2o", 8, 4) == expected.tolist()
        assert await pixel(tab, "t1h2o", 0, 0) == [0, 0, 0]
        # a key of a slider changes the window of this map alone
        before = await pixel(tab, "ff", 8, 4)
        await tab.value(f"{FIGURE.format('t1h2o')}.querySelectorAll('input')[1].focus()")
        for _ in range(3):
            await tab.press("PageDown")  # a tenth of the slider
        high = float(
            (await tab.value(f"{FIGURE.format('t1h2o')}.querySelectorAll('output')[1].textContent")).split()[0]
        )
        assert quantity.low < high < quantity.high
        ticks = await tab.value(f"{FIGURE.format('t1h2o')}.querySelector('.ticks').innerText")
        assert ticks.split()[0] == f"{high:.0f}"
        narrow = colour_scale(quantity, quantity.low, high)
        found = await pixel(tab, "t1h2o", 8, 4)
        near = np.rint(255 * np.array(colour_map(quantity.colours)(narrow(shown)))[:3])
        assert np.abs(np.array(found) - near).max() <= 3  # the window is shown without decimals
        assert found != expected.tolist()
        assert await pixel(tab, "ff", 8, 4) == before
        await tab.value("document.getElementById('reset').click()")
        assert await pixel(tab, "t1h2o", 8, 4) == expected.tolist()
        # standard deviations come behind a switch
        await tab.value("document.getElementById('checks').click()")
        await tab.until("document.querySelectorAll('figure').length === 4")
        assert await value(tab, "t1h2o_std") == 21

    browse(scenario, images)


@needs_browser
def test_the_codes_of_the_map_of_trust_are_shown_in_words_and_colours(browse):
    water_t1, trusted = -wrong_code(QUANTITIES["t1h2o"]), TRUSTED
    images = with_trust(example_images(), water_t1)

    async def text(tab, part):
        return await tab.value(f"{FIGURE.format('trust')}.querySelector('{part}').innerText")

    async def scenario(tab):
        await tab.value("document.getElementById('checks').click()")
        await tab.until("document.querySelectorAll('figure').length === 4")
        # 30 of 70 voxels of tissue
        lines = (await text(tab, ".legend")).split("\n")
        assert lines == ["trusted: 57.1 %", "Water T1 should be lower: 42.9 %"]
        for code, line in zip((trusted, water_t1), (1, 2), strict=True):
            wanted = [round(255 * part) for part in to_rgb(TRUST[code])]
            sample = f"{FIGURE.format('trust')}.querySelector('.legend li:nth-child({line}) .sample')"
            assert (
                await tab.value(f"getComputedStyle({sample}).backgroundColor") == f"rgb({', '.join(map(str, wanted))})"
            )
        await focus(tab, "trust")
        await tab.press("ArrowRight")  # from (7, 4)
        assert await text(tab, ".value") == "(8, 4): trusted"
        await tab.press("r")
        assert (await text(tab, ".summary")).startswith("Region: ")

    browse(scenario, images)


@needs_browser
def test_every_control_has_a_name(browse):
    async def scenario(tab):
        nameless = await tab.value(
            "[...document.querySelectorAll('input, button')].filter((one) => !one.labels?.length && "
            "!one.textContent.trim() && !one.getAttribute('aria-label')).map((one) => one.outerHTML)"
        )
        assert nameless == []
        assert await tab.value("[...document.querySelectorAll('.map')].every((one) => one.tabIndex === 0)")
        assert await tab.value("[...document.querySelectorAll('th')].every((one) => one.scope)")
        assert await tab.value("[...document.querySelectorAll('table')].every((one) => one.caption)")

    browse(scenario, example_images(2))
