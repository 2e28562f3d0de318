"""A headless Chromium that tests drive through its DevTools protocol; it needs no package beside aiohttp."""

import asyncio
import base64
import json
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
    "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip


class Tab:
    """One page. `problems` are the errors of its scripts and what its security policy refused."""

    def __init__(self, socket):
        self._socket = socket
        self._number = 0
        self._answers = {}
        self.problems = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self):
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Runtime.exceptionThrown":
                self.problems.append(said["params"]["exceptionDetails"])
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.problems.append(said["params"]["entry"]["text"])

    async def send(self, method, **parameters):
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        said = await answer
        assert "error" not in said, said
        return said["result"]

    async def value(self, expression):
        """The value of a JavaScript expression, which may be a promise."""
        found = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, condition):
        """Wait for a JavaScript condition; one that never comes runs into the suite's timeout."""
        while not await self.value(f"Boolean({condition})"):
            await asyncio.sleep(0.02)

    async def open(self, address, width=1280, height=900):
        await self.send("Runtime.enable")
        await self.send("Log.enable")
        await self.send("Page.enable")
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.send("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'")

    async def mouse(self, kind, x, y, **more):
        await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    async def press(self, key, modifiers=0):
        text = {"text": key} if len(key) == 1 else {}
        await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=modifiers, **text)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key, modifiers=modifiers)

    async def picture(self):
        """A PNG of the window."""
        return base64.b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def browser_tab():
    """A tab of a new browser, which ends with the context."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            told = Path(folder) / "DevToolsActivePort"
            while not told.exists() or len(told.read_text().splitlines()) < 2:
                assert process.returncode is None, "the browser did not start"
                await asyncio.sleep(0.02)
            port = told.read_text().splitlines()[0]
            async with aiohttp.ClientSession() as http:
                async with http.get(f"http://127.0.0.1:{port}/json") as answer:
                    pages = [page for page in await answer.json() if page["type"] == "page"]
                async with http.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            process.terminate()
            await process.wait()
