"""The maps of a scan on the page while it is running, in a real browser."""

import asyncio

import ismrmrd
import numpy as np
import pytest
from browser import CHROMIUM, browser_tab
from map_image_examples import example_images

from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.gadgets.stored_maps.provisional import mark_provisional
from spokestream.pipelines.node.events import ImageSent, ReadoutsReceived

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
FF = "document.querySelector('figure[data-map=ff]')"
BADGE = f"{FF}?.querySelector('.provisional-note')?.textContent"
CURSOR = f"""{{
const box = {FF}.querySelector('.map').getBoundingClientRect();
const at = {{clientX: box.left + 7.5 / 14 * box.width, clientY: box.top + 4.5 / 9 * box.height, bubbles: true}};
{FF}.querySelector('.map').dispatchEvent(new PointerEvent('pointermove', at));
}}"""


def provisional(images, spokes, number=0, less=0):
    """These images as provisional ones, whose stored values are smaller."""
    made = []
    for image in images:
        copy = ismrmrd.Image(head=image.getHead(), data=np.maximum(image.data, less) - less)
        copy.meta = ismrmrd.Meta({**image.meta, "spokestream_provisional": f"{spokes} of 30 spokes"})
        made.append(mark_provisional(copy, number))
    return made


def value_of(images, name="ff", slice_index=0, place=(4, 7)):
    for image in images:
        found, _, values = stored_to_physical(image)
        if (found, image.slice) == (name, slice_index):
            return float(values[place])
    raise AssertionError(name)


async def under_cursor(tab):
    await tab.value(CURSOR)
    return float(await tab.value(f"{FF}.querySelector('.value').dataset.value"))


def test_a_slice_grows_on_the_page_and_its_final_maps_replace_it_and_survive_a_restart(tools, tmp_path):
    images = example_images()
    early, later = provisional(images, 10, 0, less=40), provisional(images, 20, 1, less=20)
    values = [value_of(early), value_of(later), value_of(images)]
    assert len(set(values)) == 3

    async def look_again(tab, console):
        await tab.open(f"http://127.0.0.1:{console.port}/")
        await tab.until(f"{FF} && location.hash.includes('scan=')")
        assert await under_cursor(tab) == values[2]
        assert await tab.value(f"!{BADGE}")

    async def scenario():
        async with browser_tab() as tab:
            async with tools.open(tmp_path / "history") as (console, client):
                await tab.open(f"http://127.0.0.1:{console.port}/")
                admitted, _, *final, ended = tools.events(images=images)
                tools.tell(console, [admitted, ReadoutsReceived(admitted.session, 10)])
                for n, (spokes, shown) in enumerate(((10, early), (20, later))):
                    tools.tell(console, [ImageSent(admitted.session, image) for image in shown])
                    await tab.until(f"{BADGE} === ' Provisional, {spokes} of 30 spokes'")
                    assert await under_cursor(tab) == values[n]
                    assert await tab.value(f"{FF}.classList.contains('provisional')")
                    said = await tab.value("document.getElementById('announcement').textContent")
                    assert said == f"thigh <left>, slice 1: provisional, {spokes} of 30 spokes"
                assert (
                    await tab.value("document.querySelector('#running button').getAttribute('aria-pressed')") == "true"
                )
                assert await tab.value("document.querySelectorAll('#details a').length") == 0  # no files yet
                await tab.value(f"{FF}.querySelector('.map').focus()")
                tools.tell(console, [*final, ended])
                await tab.until(f"{FF} && !{BADGE} && document.querySelector('#scans .finished')")
                assert await under_cursor(tab) == values[2]
                assert await tab.value("document.activeElement.className") == "map"  # the focus stays in the map
                for part, value in (("x", 7), ("y", 4), ("radius", 1000)):
                    await tab.value(f"document.getElementById('region-{part}').value = {value}")
                await tab.value("document.getElementById('region-radius').dispatchEvent(new Event('change'))")
                ff = stored_to_physical(images[0])[2].astype(float)
                found = await tab.value(f"({{...{FF}.querySelector('.summary').dataset}})")
                assert int(found["n"]) == np.sum(ff != 0)
                assert float(found["mean"]) == pytest.approx(ff[ff != 0].mean(), rel=1e-9)
                (record,) = await tools.kept(client)
                assert record["images"] == len(images)
            async with tools.open(tmp_path / "history") as (console, client):
                await look_again(tab, console)
            assert tab.problems == []

    asyncio.run(scenario())


def test_final_slices_stay_while_the_next_one_grows_and_the_chosen_map_is_kept(tools):
    images = example_images(2)
    first, second = images[:3], images[3:]
    without_t1 = provisional([image for image in second if image.meta["spokestream_map"] != "t1h2o"], 10)

    async def scenario():
        async with tools.open() as (console, _), browser_tab() as tab:
            await tab.open(f"http://127.0.0.1:{console.port}/#map=t1h2o")
            admitted, _, *final, ended = tools.events(images=images)
            tools.tell(console, [admitted, *final[:3]])
            await tab.until("document.querySelector('figure[data-map=ff], figure[data-map=t1h2o]')")
            await tab.value(
                "const m = document.getElementById('map'); m.value = 't1h2o'; m.dispatchEvent(new Event('change'))"
            )
            await tab.until("document.querySelector('figure[data-map=t1h2o]')")
            tools.tell(console, [ImageSent(admitted.session, image) for image in without_t1])
            await tab.until(BADGE)  # the map that both slices have, and the slice that grows
            assert await tab.value("document.getElementById('slice').value") == "1"
            assert await under_cursor(tab) == value_of(second, slice_index=1)
            await tab.value(
                "const s = document.getElementById('slice'); s.value = 0; s.dispatchEvent(new Event('input'))"
            )
            await tab.until(f"{FF} && !{BADGE}")
            assert await under_cursor(tab) == value_of(first)
            tools.tell(console, [*final[3:], ended])
            await tab.until("document.querySelector('figure[data-map=t1h2o]')")
            assert await tab.value("document.getElementById('slice').value") == "0"
            assert tab.problems == []

    asyncio.run(scenario())


def test_a_reader_who_does_not_follow_new_scans_chooses_one_that_is_running(tools):
    images = example_images()

    async def scenario():
        async with tools.open() as (console, _), browser_tab() as tab:
            await tab.open(f"http://127.0.0.1:{console.port}/")
            await tab.value("document.getElementById('follow').checked = false")
            admitted, *_ = tools.events(images=images)
            tools.tell(console, [admitted, ReadoutsReceived(admitted.session, 10)])
            await tab.until("document.querySelector('#running button')?.disabled")
            tools.tell(console, [ImageSent(admitted.session, image) for image in provisional(images, 10)])
            await tab.until("document.querySelector('#running button:enabled')")
            assert await tab.value("document.querySelectorAll('figure').length") == 0
            await tab.value("document.querySelector('#running button').click()")
            await tab.until(BADGE)
            assert tab.problems == []

    asyncio.run(scenario())
