"""Write the pictures of the page: `docs/console.jpg`, and `docs/console-growing.jpg` of a slice while it is acquired.

    python docs/console.py

A simulated thigh is reconstructed by two pipelines, and is then sent at the pace of a scanner. Chromium must be
installed. It takes about two minutes.
"""

import asyncio
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from spokestream.pipelines.client import scanner_pace, send_scan
from spokestream.pipelines.console.console import Console
from spokestream.pipelines.console.settings import ConsoleSettings
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.node.server import Server
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))
from browser import browser_tab

PICTURE = Path(__file__).with_suffix(".jpg")
GROWING = PICTURE.with_stem("console-growing")
WIDTH, HEIGHT, HEIGHT_OF_GROWING = 1360, 1420, 760
QUALITY = 85
PIPELINES = ("mrf_t1ff", "mrf_t1ff_net")
SHOW = """
document.getElementById('other').selectedIndex = 1;
document.getElementById('other').dispatchEvent(new Event('change'));
"""
ONE_SCAN = """
document.getElementById('other').selectedIndex = 0;
document.getElementById('other').dispatchEvent(new Event('change'));
"""
REGION = """
for (const [part, value] of [['x', 105], ['y', 160], ['radius', 12]])
  document.getElementById(`region-${part}`).value = value;
document.getElementById('region-radius').dispatchEvent(new Event('change'));
"""


async def take_picture() -> None:
    """Simulate, reconstruct twice, and photograph the page."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        simulate_scan(path, SimulationSettings(seed=2000))
        scan = read_scan(path)
        console = Console(ConsoleSettings(http=0), None)
        server = Server(ServerSettings(port=0), observers=console.observers)
        await console.start(server)
        await server.start()
        for name in PIPELINES:
            await asyncio.to_thread(send_scan, scan.xml, scan, port=server.port, config=name)
        async with browser_tab() as tab:
            await tab.open(f"http://127.0.0.1:{console.port}/#map=t1h2o", WIDTH, HEIGHT)
            await tab.until("location.hash.includes('scan=')")
            await tab.value(SHOW)
            await tab.until("document.querySelectorAll('figure').length === 4")
            await tab.value(REGION)
            await asyncio.sleep(1)  # the browser draws
            save(await tab.picture(), PICTURE)
            await tab.value(ONE_SCAN)
            sending = asyncio.create_task(
                asyncio.to_thread(
                    send_scan, scan.xml, scan, port=server.port, config=PIPELINES[0],
                    parameters={"provisional": 64, "refine": "on"}, pace=scanner_pace(scan, 1),
                )
            )  # fmt: skip
            await tab.until("document.querySelector('.provisional-note')")
            await asyncio.sleep(0.2)  # the browser draws
            save(await tab.picture(), GROWING, HEIGHT_OF_GROWING)
            await sending
        await server.stop()
        await console.stop()


def save(png: bytes, path: Path, height: int = HEIGHT) -> None:
    """Write the upper part of a picture as JPEG."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").crop((0, 0, WIDTH, height))
    picture.save(path, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    asyncio.run(take_picture())
