"""The page in a real browser, where the machine has one."""

import asyncio
from pathlib import Path

import ismrmrd
import numpy as np
import pytest
from browser import CHROMIUM, browser_tab
from map_image_examples import example_images

from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.pipelines.console import pages
from spokestream.simulator.physics.colour_scales import colour_map, colour_scale
from spokestream.simulator.physics.quantities import QUANTITIES

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
FIGURE = "document.querySelector('figure[data-map={}]')"


def test_the_page_is_small_and_names_no_other_site():
    assert sum(path.stat().st_size for path in pages.FILES) < 300_000
    for path in pages.FILES:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")  # the name of a standard, never fetched
        assert "http:" not in text
        assert "https:" not in text
        assert "innerHTML" not in text


def test_the_page_has_no_script_or_style_that_its_policy_refuses():
    (index,) = (path for path in pages.FILES if path.name == "index.html")
    text = index.read_text()
    assert "style=" not in text
    assert "<style" not in text
    assert " on" not in text.replace(" one", "").replace(" on the left", "")
    assert text.count("<script") == text.count('<script type="module" src=') == 1


def values_of(images, name, slice_index=0):
    """The map as its image gives it."""
    for image in images:
        found, _, values = stored_to_physical(image)
        if (found, image.slice) == (name, slice_index):
            return values
    raise AssertionError(name)


def with_spread(images):
    """The images, and for the fat fraction a map of its standard deviation with an eighth of its values."""
    extra = []
    for image in images:
        if image.meta["spokestream_map"] == "ff":
            copy = type(image)(head=image.getHead(), data=image.data // 8)
            copy.meta = ismrmrd.Meta({**image.meta, "spokestream_map": "ff_std"})
            copy.image_series_index = QUANTITIES["ff_std"].series
            extra.append(copy)
    return [*images, *extra]


@pytest.fixture
def browse(tools):
    """Run `scenario(tab, console)` with a page that shows the scans, each a list of images."""

    def run(scenario, *scans, address=""):
        async def all_of_it():
            async with tools.open() as (console, client):
                for n, images in enumerate(scans):
                    tools.tell(console, tools.events(f"{n:08x}", images, warnings=("Be <b>careful</b>.",) * n))
                    await tools.kept(client, n + 1)
                async with browser_tab() as tab:
                    await tab.open(f"http://127.0.0.1:{console.port}/{address}")
                    if scans:
                        await tab.until("document.querySelector('figure') && location.hash.includes('scan=')")
                    await scenario(tab, console)
                    assert tab.problems == []

        asyncio.run(all_of_it())

    return run


async def middle_of(tab, name, x, y):
    """The place in the window of the middle of a voxel of a map of 14 by 9."""
    box = await tab.value(
        f"(({{left, top, width, height}}) => [left, top, width, height])"
        f"({FIGURE.format(name)}.querySelector('.map').getBoundingClientRect())"
    )
    left, top, width, height = box
    return left + (x + 0.5) / 14 * width, top + (y + 0.5) / 9 * height


async def shown_value(tab, name):
    return float(await tab.value(f"{FIGURE.format(name)}.querySelector('.value').dataset.value"))


@needs_browser
def test_the_value_under_the_cursor_is_that_of_the_map(browse):
    images = with_spread(example_images())
    ff, deviation = values_of(images, "ff"), values_of(images, "ff_std")

    async def scenario(tab, _):
        for x, y in ((2, 1), (7, 4), (11, 7)):
            await tab.mouse("mouseMoved", *await middle_of(tab, "ff", x, y))
            assert await shown_value(tab, "ff") == ff[y, x]
            assert await shown_value(tab, "ff_std") == deviation[y, x]  # both maps show the same voxel
        await tab.mouse("mouseMoved", *await middle_of(tab, "ff", 0, 0))
        assert np.isnan(await shown_value(tab, "ff"))
        assert "not valid" in await tab.value(f"{FIGURE.format('ff')}.querySelector('.value').textContent")

    browse(scenario, images)


@needs_browser
def test_a_dragged_circle_gives_mean_and_standard_deviation(browse):
    images = example_images()
    ff = values_of(images, "ff").astype(float)
    y, x = np.mgrid[:9, :14]
    radius = 3 * 20  # three pixels of 20 mm to the right
    inside = np.hypot((x - 6) * 20, (y - 4) * 30) <= radius
    assert inside.sum() == 7 + 2 * 5 + 2 * 1

    async def scenario(tab, _):
        begin, end = await middle_of(tab, "ff", 6, 4), await middle_of(tab, "ff", 9, 4)
        await tab.mouse("mouseMoved", *begin)
        await tab.mouse("mousePressed", *begin, button="left", clickCount=1)
        await tab.mouse("mouseMoved", *end, button="left", buttons=1)
        await tab.mouse("mouseReleased", *end, button="left", clickCount=1)
        found = await tab.value(f"({{...{FIGURE.format('ff')}.querySelector('.summary').dataset}})")
        assert int(found["n"]) == inside.sum()
        assert float(found["mean"]) == pytest.approx(ff[inside].mean(), rel=1e-12)
        assert float(found["deviation"]) == pytest.approx(ff[inside].std(ddof=1), rel=1e-9)
        assert await tab.value("document.getElementById('region-radius').value") == "60.0"

    browse(scenario, images)


@needs_browser
def test_a_region_leaves_out_voxels_that_are_not_valid(browse):
    images = example_images()
    images[0].data[:] *= 2  # the fat fraction, so that some voxels are beyond the rule of water T1
    ff, t1 = values_of(images, "ff"), values_of(images, "t1h2o")
    valid = (t1 != 0) & (ff < 0.7)
    assert 10 < valid.sum() < (ff != 0).sum()

    async def scenario(tab, _):
        await tab.value("document.getElementById('region-x').value = 6; document.getElementById('region-y').value = 4")
        await tab.value(
            "const r = document.getElementById('region-radius'); r.value = 1000; r.dispatchEvent(new Event('change'))"
        )
        found = await tab.value(f"({{...{FIGURE.format('t1h2o')}.querySelector('.summary').dataset}})")
        assert int(found["n"]) == valid.sum()
        assert float(found["mean"]) == pytest.approx(t1[valid].astype(float).mean(), rel=1e-9)

    browse(scenario, images, address="#map=t1h2o")


@needs_browser
@pytest.mark.parametrize("name", ["ff", "t1h2o"])
def test_colours_are_those_of_the_figures(name, browse):
    images = example_images()
    values, quantity = values_of(images, name), QUANTITIES[name]
    low, high = (0.1, 0.5) if name == "ff" else (800, 1100)
    shown = values[:, :].copy()
    shown[values == 0] = np.nan
    expected = colour_map(quantity.colours)(colour_scale(quantity, low, high)(np.ma.masked_invalid(shown)), bytes=True)

    async def scenario(tab, _):
        for id_, value in (("low", low), ("high", high)):
            await tab.value(f"document.getElementById('{id_}').value = {value}")
        await tab.value("document.getElementById('high').dispatchEvent(new Event('change'))")
        read = (
            f"(() => {{ const c = {FIGURE.format(name)}.querySelector('canvas');"
            "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data] })()"
        )
        found = np.array(await tab.value(read)).reshape(9, 14, 4)[..., :3]
        # a value on the border of two of the 256 colours may fall to either
        step = np.abs(found.astype(int) - expected[..., :3]).max(axis=-1)
        assert step.max() <= 6
        assert np.mean(step > 1) < 0.05

    browse(scenario, images, address=f"#map={name}")


@needs_browser
def test_the_keyboard_moves_cursor_region_and_slice_and_says_the_values(browse):
    images = example_images(2)
    ff, other = values_of(images, "ff", 0), values_of(images, "ff", 1)

    async def scenario(tab, _):
        await tab.value(f"{FIGURE.format('ff')}.querySelector('.map').focus()")
        for key in ("ArrowRight", "ArrowRight", "ArrowUp"):  # from the middle, (7, 4)
            await tab.press(key)
        assert await shown_value(tab, "ff") == ff[3, 9]
        said = await tab.value("document.getElementById('announcement').textContent")
        assert said == f"Fat fraction, (9, 3): {ff[3, 9]:.3f}"
        await tab.press("r")
        assert await tab.value("document.getElementById('region-x').value") == "9"
        assert int(await tab.value(f"{FIGURE.format('ff')}.querySelector('.summary').dataset.n")) == 1
        await tab.press("Escape")
        assert await tab.value("document.getElementById('region-x').value") == ""
        await tab.press("PageDown")
        await tab.until("document.getElementById('slice').value === '1'")
        await tab.until(f"{FIGURE.format('ff')}.querySelector('.value').dataset.value")
        assert await shown_value(tab, "ff") == other[3, 9]
        assert await tab.value("document.activeElement.className") == "map"  # the focus stays in the map

    browse(scenario, images)


@needs_browser
def test_two_scans_are_compared_side_by_side(browse):
    first, second = example_images(), example_images(2)[3:]  # another slice of it, with other values of water T1
    for image in second:
        image.slice = 0

    async def scenario(tab, _):
        await tab.value("document.querySelector('#scans li:last-of-type button').click()")
        await tab.until("document.querySelector('#scans li:last-of-type').className === 'shown'")
        assert await tab.value("document.querySelectorAll('figure').length") == 1
        await tab.value(
            "const o = document.getElementById('other'); o.selectedIndex = 1; o.dispatchEvent(new Event('change'))"
        )
        await tab.until("document.querySelectorAll('figure').length === 2")
        await tab.mouse("mouseMoved", *await middle_of(tab, "t1h2o", 5, 3))
        found = await tab.value("[...document.querySelectorAll('figure .value')].map((one) => one.dataset.value)")
        expected = [values_of(first, "t1h2o")[3, 5], values_of(second, "t1h2o")[3, 5]]
        assert [float(value) for value in found] == expected
        assert expected[0] != expected[1]
        assert await tab.value("document.querySelectorAll('#details section').length") == 2
        await tab.value(
            "const m = document.getElementById('map'); m.value = 'ff'; m.dispatchEvent(new Event('change'))"
        )
        await tab.until("document.querySelectorAll('figure').length === 4")
        shown = await tab.value("[...document.querySelectorAll('figure')].map((one) => one.dataset.map)")
        assert shown == ["ff", "ff", "ff_std", "ff_std"]  # the scans are columns

    browse(scenario, with_spread(first), with_spread(second), address="#map=t1h2o")


@needs_browser
def test_warnings_counts_and_files_of_a_scan_are_shown_and_texts_are_no_html(browse):
    async def scenario(tab, _):
        text = await tab.value("document.getElementById('details').innerText")
        assert "thigh <left>" in text
        assert "Be <b>careful</b>." in text
        head = await tab.value("[...document.querySelectorAll('.counts th')].map((one) => one.textContent)")
        assert {"slice", "missing", "clipped"} <= set(head)
        links = await tab.value("[...document.querySelectorAll('#details a')].map((one) => one.pathname)")
        assert [Path(link).name for link in links] == ["maps.h5", "nifti.zip"]

    browse(scenario, example_images(), example_images())


@needs_browser
def test_running_scans_grow_and_new_ones_appear_by_themselves(browse, tools):
    async def scenario(tab, console):
        await tab.until("document.getElementById('connection').textContent === 'Connected to the node'")
        assert not await tab.value("document.getElementById('none').hidden")
        admitted, progress, *rest = tools.events(warnings=("Careful.",))
        tools.tell(console, [admitted, progress])
        await tab.until("document.querySelector('#running li')?.textContent.includes('10 of 30 readouts')")
        assert await tab.value("document.querySelector('#running progress').value / 30") == pytest.approx(1 / 3)
        tools.tell(console, rest)
        await tab.until("document.querySelector('#scans .finished') && document.querySelector('figure')")
        assert await tab.value("document.querySelectorAll('#running li').length") == 0
        assert "1 warning" in await tab.value("document.getElementById('scans').textContent")

    browse(scenario)


@needs_browser
def test_every_control_has_a_name_and_every_picture_can_be_reached(browse):
    async def scenario(tab, _):
        nameless = await tab.value(
            "[...document.querySelectorAll('input, select, button, progress')].filter((one) => !one.labels?.length && "
            "!one.textContent.trim() && !one.getAttribute('aria-label')).map((one) => one.outerHTML)"
        )
        assert nameless == []
        assert await tab.value("[...document.querySelectorAll('.map')].every((one) => one.tabIndex === 0)")
        assert await tab.value("document.documentElement.lang") == "en"

    browse(scenario, example_images())
