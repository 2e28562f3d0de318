"""What the console answers to a browser or a program: one function for each kind of address."""

import asyncio
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from spokestream.pipelines.console.history import History
from spokestream.pipelines.console.running_scans import RunningScans
from spokestream.pipelines.files.map_file import read_map_file
from spokestream.pipelines.files.outputs import scan_maps, write_nifti_maps
from spokestream.pipelines.map_panels.browser_files import PANEL_FILES
from spokestream.pipelines.map_panels.colour_table import colour_table
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["pages_of_scans", "static_pages"]

Value = TypeVar("Value")
FILES = (*sorted(Path(__file__).with_name("static").iterdir()), *PANEL_FILES)
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def static_pages() -> dict[str, Handler]:
    """Address -> page, for the files of the page itself. They are read once, so that no request opens a file."""

    def page(path: Path) -> Handler:
        content = path.read_bytes()

        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=content, content_type=TYPES[path.suffix], charset="utf-8")

        return answer

    files = {f"/{path.name}": page(path) for path in FILES}
    return {**files, "/": files["/index.html"]}


def pages_of_scans(history: History, running: RunningScans) -> dict[str, Handler]:
    """Address -> page, for records, maps, colours and files of scans. Files are read in threads.

    A running scan has the same addresses as when it is in the history, except those of files.
    """

    async def scans(request: web.Request) -> web.Response:
        return web.json_response([record.summary() for record in history.records])

    async def details(request: web.Request) -> web.Response:
        scan = request.match_info["scan"]
        if found := await running.maps_so_far(scan):
            record, maps = found
            return web.json_response({**record.as_json(), "shown": maps and maps.about})
        body = await _found(history.details, scan)
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    async def values(request: web.Request) -> web.Response:
        of = request.match_info
        scan, name, index = of["scan"], of["map"], int(of["slice"])
        if found := await running.maps_so_far(scan):
            volumes = found[1].volumes if found[1] else {}
            array = await _found(lambda: dict(enumerate(volumes[name]))[index])
        else:
            array = await _found(history.slice_of, scan, name, index)
        return web.Response(body=array.astype("<f4").tobytes(), content_type="application/octet-stream")

    async def map_images(request: web.Request) -> web.Response:
        scan = request.match_info["scan"]
        body = await _found(lambda: history.map_images(scan).read_bytes())
        return _download(body, f"{scan}.h5", "application/x-hdf5")

    async def nifti(request: web.Request) -> web.Response:
        scan = request.match_info["scan"]
        return _download(await _found(lambda: _nifti(history.map_images(scan))), f"{scan}.zip", "application/zip")

    return {
        "/api/scans": scans,
        r"/api/scans/{scan}": details,
        r"/api/scans/{scan}/maps/{map:\w+}/{slice:\d{1,6}}": values,
        r"/api/scans/{scan}/maps.h5": map_images,
        r"/api/scans/{scan}/nifti.zip": nifti,
        r"/api/colours/{name:[\w:]+}": _colours,
    }


async def _colours(request: web.Request) -> web.Response:
    """The colour map of a quantity; see `colour_table`."""
    name = request.match_info["name"]
    if name not in {quantity.colours for quantity in QUANTITIES.values()}:
        raise web.HTTPNotFound(text="There is no such colour map.")
    return web.json_response(colour_table(name))


async def _found(read: Callable[..., Value], *arguments: Any) -> Value:
    """The result of a function that reads files, called in a thread. Raises HTTPNotFound for what is not kept."""
    try:
        return await asyncio.to_thread(read, *arguments)
    except (KeyError, FileNotFoundError):  # a scan may be deleted while it is read
        raise web.HTTPNotFound(text="The history does not hold this.") from None


def _download(body: bytes, name: str, kind: str) -> web.Response:
    return web.Response(body=body, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _nifti(path: Path) -> bytes:
    """A zip file with one NIfTI file and its JSON file for each map."""
    buffer = BytesIO()
    with TemporaryDirectory(prefix="spokestream-") as folder:
        files = write_nifti_maps(Path(folder), scan_maps(read_map_file(path)[0]))
        with zipfile.ZipFile(buffer, "w") as archive:  # NIfTI files are compressed already
            for file in files:
                archive.write(file, file.name)
    return buffer.getvalue()
