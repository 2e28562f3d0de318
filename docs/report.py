"""Write `docs/report.jpg`: the report of a simulated thigh that a network reconstructed, with a region in a muscle.

    python docs/report.py

Chromium must be installed. It takes about a minute.
"""

import asyncio
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from spokestream.pipelines.files.replay import replay
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))
from browser import browser_tab

PICTURE = Path(__file__).with_suffix(".jpg")
WIDTH, HEIGHT = 1360, 1260
QUALITY = 80
SHIFT = 8
KEYS = [("ArrowLeft", SHIFT)] * 7 + [("ArrowDown", SHIFT)] * 4 + [("r", 0)]
"""Keys that move the cursor from the middle of the map into a muscle, and set a region there."""


async def take_picture() -> None:
    """Simulate, reconstruct, and photograph the report."""
    with TemporaryDirectory() as folder:
        scan = Path(folder) / "thigh.h5"
        simulate_scan(scan, SimulationSettings(seed=2000))
        replay(scan, Path(folder) / "maps", "mrf_t1ff_net")
        async with browser_tab() as tab:
            await tab.open((Path(folder) / "maps/report.html").as_uri(), WIDTH, HEIGHT)
            await tab.until("!document.getElementById('maps').hidden")
            await tab.value("document.querySelector('.map').focus()")
            for key, modifiers in KEYS:
                await tab.press(key, modifiers)
            await asyncio.sleep(1)  # the browser draws
            png = await tab.picture()
    Image.open(io.BytesIO(png)).convert("RGB").save(PICTURE, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    asyncio.run(take_picture())
