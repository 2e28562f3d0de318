"""The console as a client sees it."""

import asyncio
import io
import json
import threading
import zipfile

import numpy as np
import pytest
from map_image_examples import example_images
from nibabel import Nifti1Image

from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.pipelines.console.console import Console
from spokestream.pipelines.console.history import History
from spokestream.pipelines.console.settings import ConsoleSettings
from spokestream.pipelines.files.map_file import read_map_file
from spokestream.simulator.physics.colour_scales import colour_map


def test_health_is_told_at_once_and_readiness_when_everything_works(tools, tmp_path, monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.console.console.READY_S", -1.0)

    async def scenario():
        node = tools.node(listening=False)
        async with tools.open(node=node, recordings=tmp_path / "recordings") as (_, client):
            assert (await tools.got(client, "/healthz"))[:2] == (200, b"ok\n")
            status, body, _ = await tools.got(client, "/readyz")
            assert (status, json.loads(body)) == (503, {"listening": False, "recordings": True})
            node.listening = True
            status, body, _ = await tools.got(client, "/readyz")
            assert (status, json.loads(body)) == (200, {"listening": True, "recordings": True})
            (tmp_path / "recordings").rmdir()
            (tmp_path / "recordings").write_text("no folder any more")
            status, body, _ = await tools.got(client, "/readyz")
            assert (status, json.loads(body)["recordings"]) == (503, False)

    asyncio.run(scenario())


def test_metrics_count_scans_recordings_and_the_queue(tools, tmp_path):
    (tmp_path / "a.spokes").write_bytes(bytes(10))
    (tmp_path / "b.spokes").write_bytes(bytes(15))
    (tmp_path / "notes.txt").write_bytes(bytes(99))

    async def scenario():
        async with tools.open(node=tools.node(queued_bytes=123), recordings=tmp_path) as (console, client):
            tools.tell(console, tools.events())
            status, body, headers = await tools.got(client, "/metrics")
            assert status == 200
            assert headers["Content-Type"].startswith("text/plain; version=")
            lines = body.decode().splitlines()
            assert 'spokestream_scans_total{outcome="finished"} 1.0' in lines
            assert "spokestream_queue_bytes 123.0" in lines
            assert "spokestream_recordings 2.0" in lines
            assert "spokestream_recordings_bytes 25.0" in lines

    asyncio.run(scenario())


def test_the_values_of_a_map_are_those_of_its_images(tools):
    images = example_images(2)

    async def scenario():
        async with tools.open() as (console, client):
            tools.tell(console, tools.events(images=images))
            (record,) = await tools.kept(client)
            for image in images:
                name, _, values = stored_to_physical(image)
                status, body, _ = await tools.got(client, f"/api/scans/{record['id']}/maps/{name}/{image.slice}")
                assert status == 200
                found = np.frombuffer(body, "<f4").reshape(values.shape)
                valid = np.isfinite(found)
                assert valid.any()
                np.testing.assert_array_equal(found[valid], values[valid])
                assert np.all(values[~valid] == 0)

    asyncio.run(scenario())


def test_a_scan_is_listed_with_what_was_told_of_it(tools):
    async def scenario():
        async with tools.open() as (console, client):
            tools.tell(console, tools.events(warnings=("Careful.", "Very careful.")))
            (record,) = await tools.kept(client)
            expected = {
                "protocol": "thigh <left>", "pipeline": "auto", "outcome": "finished", "sentence": "", "readouts": 30,
                "expected_readouts": 2 * 15, "images": 6, "latency_s": 1.5, "seconds": 12.0, "n_warnings": 2,
                "maps": ["ff", "t1h2o", "deltaf"],
            }  # fmt: skip
            assert {key: record[key] for key in expected} == expected
            _, body, _ = await tools.got(client, f"/api/scans/{record['id']}")
            details = json.loads(body)
            assert {key: details[key] for key in record} == record
            assert details["warnings"] == ["Careful.", "Very careful."]
            assert details["shown"]["shape"] == [2, 9, 14]

    asyncio.run(scenario())


def test_the_downloads_are_the_images_and_nifti_in_the_unit_of_the_map(tools, tmp_path):
    images = example_images(2)

    async def scenario():
        async with tools.open() as (console, client):
            tools.tell(console, tools.events(images=images))
            (record,) = await tools.kept(client)
            status, body, headers = await tools.got(client, f"/api/scans/{record['id']}/maps.h5")
            assert status == 200
            assert headers["Content-Disposition"] == f'attachment; filename="{record["id"]}.h5"'
            (tmp_path / "maps.h5").write_bytes(body)
            status, body, _ = await tools.got(client, f"/api/scans/{record['id']}/nifti.zip")
            assert status == 200
            return body

    archive = zipfile.ZipFile(io.BytesIO(asyncio.run(scenario())))
    sent = sorted(images, key=lambda image: (image.image_series_index, image.slice))
    for kept, image in zip(read_map_file(tmp_path / "maps.h5")[0], sent, strict=True):
        np.testing.assert_array_equal(kept.data, image.data)
    assert sorted(archive.namelist()) == sorted(
        f"{name}.{end}" for name in ("ff", "t1h2o", "deltaf") for end in ("nii.gz", "json")
    )
    archive.extractall(tmp_path)
    volume = np.asarray(Nifti1Image.from_filename(tmp_path / "ff.nii.gz").dataobj)
    values = stored_to_physical(images[0])[2]
    inside = np.isfinite(volume[..., 0].T)
    np.testing.assert_allclose(volume[..., 0].T[inside], values[inside], rtol=1e-6)


@pytest.mark.parametrize("name", ["crameri:lipari", "crameri:navia", "magma", "coolwarm"])
def test_colours_are_those_of_the_figures(name, tools):
    async def scenario():
        async with tools.open() as (_, client):
            status, body, _ = await tools.got(client, f"/api/colours/{name}")
            assert status == 200
            return json.loads(body)

    table = asyncio.run(scenario())
    expected = [[round(255 * part) for part in colour_map(name)(i)[:3]] for i in range(256)]
    assert table == [*expected, [0, 0, 0]]


@pytest.mark.parametrize(
    "address",
    [
        "/api/scans/20261126T090000.000Z_ffffffff", "/api/scans/..%2F..%2Fetc%2Fpasswd", "/api/scans/x/maps.h5",
        "/api/scans/x/nifti.zip", "/api/scans/x/maps/ff/0", "/api/scans/x/maps/ff/-1", "/api/colours/jet",
        "/console.py", "/static/index.html", "/..%2Fconsole.py", "/.lock",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(address, tools):
    async def scenario():
        async with tools.open() as (_, client):
            assert (await tools.got(client, address))[0] == 404

    asyncio.run(scenario())


def test_a_restart_keeps_the_history(tools, tmp_path):
    async def first():
        async with tools.open(tmp_path / "history") as (console, client):
            tools.tell(console, tools.events())
            return await tools.kept(client)

    async def second():
        async with tools.open(tmp_path / "history") as (_, client):
            records = await tools.kept(client)
            status, body, _ = await tools.got(client, f"/api/scans/{records[0]['id']}/maps/ff/1")
            assert (status, len(body)) == (200, 9 * 14 * 4)
            return records

    assert asyncio.run(first()) == asyncio.run(second())


def test_without_a_folder_the_history_ends_with_the_node(tools):
    async def scenario():
        async with tools.open() as (console, client):
            tools.tell(console, tools.events())
            await tools.kept(client)
            folder = console._history.folder
            assert any(folder.iterdir())
        return folder

    assert not asyncio.run(scenario()).exists()


def test_without_a_folder_the_history_is_smaller_because_it_may_lie_in_memory(tools, monkeypatch, tmp_path):
    monkeypatch.setattr("spokestream.pipelines.console.console.TEMPORARY_BYTES", 1000)

    async def number_kept(history):
        async with tools.open(history) as (console, client):
            tools.tell(console, tools.events())
            await console._scans.finish()
            return len(await tools.kept(client, 0))

    assert asyncio.run(number_kept(None)) == 0
    assert asyncio.run(number_kept(tmp_path / "history")) == 1


def test_a_node_that_stops_writes_the_scans_that_have_just_ended(tools, tmp_path):
    async def scenario():
        async with tools.open(tmp_path / "history") as (console, _):
            tools.tell(console, tools.events("00000001"))
            tools.tell(console, tools.events("00000002"))

    asyncio.run(scenario())
    history = History(tmp_path / "history", 10, 1 << 30)
    assert [record.maps for record in history.records] == [["ff", "t1h2o", "deltaf"]] * 2
    history.close()


def test_the_node_answers_while_a_scan_is_written(tools, monkeypatch):
    """The event loop also receives readouts, so that no file may be written in it."""
    answered, threads = threading.Event(), []
    add = History.add

    def slow(*scan):
        threads.append(threading.current_thread())
        answered.wait()
        add(*scan)

    async def scenario():
        monkeypatch.setattr(History, "add", slow)
        async with tools.open() as (console, client):
            tools.tell(console, tools.events())
            while not threads:
                await asyncio.sleep(0.005)
            assert (await tools.got(client, "/healthz"))[0] == 200
            assert json.loads((await tools.got(client, "/api/scans"))[1]) == []
            answered.set()
            assert len(await tools.kept(client)) == 1

    asyncio.run(scenario())
    assert threads[0] is not threading.main_thread()


READERS = {"details": "", "slice_of": "/maps/ff/0", "map_images": "/maps.h5"}


@pytest.mark.parametrize("method", READERS)
def test_files_are_read_in_other_threads(method, tools, monkeypatch):
    threads, read = [], getattr(History, method)

    def noted(*arguments):
        threads.append(threading.current_thread())
        return read(*arguments)

    async def scenario():
        monkeypatch.setattr(History, method, noted)
        async with tools.open() as (console, client):
            tools.tell(console, tools.events())
            (record,) = await tools.kept(client)
            assert (await tools.got(client, f"/api/scans/{record['id']}{READERS[method]}"))[0] == 200

    asyncio.run(scenario())
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_the_maps_of_a_monstrous_scan_are_given_up_with_a_warning(tools):

    async def scenario():
        async with tools.open(most_bytes=1000) as (console, client):
            tools.tell(console, tools.events())  # 6 images of 252 bytes
            (record,) = await tools.kept(client)
            assert record["maps"] == []
            details = json.loads((await tools.got(client, f"/api/scans/{record['id']}"))[1])
            assert [text.partition(":")[0] for text in details["warnings"]] == ["The maps are not in the history"]

    asyncio.run(scenario())


def test_a_port_that_is_taken_is_an_error(tools):
    async def scenario():
        async with tools.open() as (console, _):
            other = Console(ConsoleSettings(http=console.port), None)
            with pytest.raises(OSError, match="address already in use"):
                await other.start(tools.node())
            await other.stop()

    asyncio.run(scenario())
