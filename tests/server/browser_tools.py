"""What the tests in a browser share: pages that remember whatever they must not try, and who opens and closes them."""

import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from omni.engine import Engine, ScriptedEngine
from tests.server.web_tools import Web, web

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)

IN_A_BROWSER = [
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (Debian's package: chromium)"),
]

FLAGS = [
    f"--{flag}"
    for flag in ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
                 "disable-component-update", "disable-sync")
]  # fmt: skip

WAIT = 15_000


class Visit:
    """A page, and everything that it tried which it must not."""

    def __init__(self, page: Any, served: Web) -> None:
        self.page, self.served = page, served
        self.wrong: list[str] = []
        page.on("request", self._asked)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("popup", lambda other: self.wrong.append(f"popup: {other.url}"))

    def _said(self, message: Any) -> None:
        if message.type == "error" and "the server responded with a status of 4" not in message.text:
            self.wrong.append(f"console: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.served.url, "blob:" + self.served.url, "data:")):
            self.wrong.append(f"request: {request.url}")

    async def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    async def ask(self, text: str) -> None:
        await self.page.fill("#composer", text)
        await self.page.press("#composer", "Enter")

    async def answered(self, count: int = 1) -> None:
        """Until so many answers are whole on the page."""
        await self.page.wait_for_function(
            "n => [...document.querySelectorAll('.message.assistant .actions')].length >= n"
            " && !document.querySelector('.live')",
            arg=count,
        )


class Desk:
    """Opens pages, and closes what a test has opened."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self._browser, self._folder = browser, folder
        self._stack = AsyncExitStack()
        self.visits: list[Visit] = []

    async def serve(self, engine: Engine | None = None, **more: Any) -> Web:
        return await self._stack.enter_async_context(web(self._folder / "home", engine or ScriptedEngine(), **more))

    async def visit(self, served: Web, path: str = "", /, **context: Any) -> Visit:
        values = {"viewport": {"width": 1280, "height": 800}, **context}
        made = await self._browser.new_context(**values)
        self._stack.push_async_callback(made.close)
        await made.grant_permissions(["clipboard-read", "clipboard-write"], origin=served.url)
        page = await made.new_page()
        page.set_default_timeout(WAIT)
        new_visit = Visit(page, served)
        self.visits.append(new_visit)
        await page.goto(served.link)
        await page.wait_for_selector(".status")
        if path:
            await page.evaluate("path => { location.hash = path }", path)
        return new_visit

    async def open(self, engine: Engine | None = None, **more: Any) -> Visit:
        return await self.visit(await self.serve(engine, **more))

    async def close(self) -> None:
        await self._stack.aclose()
