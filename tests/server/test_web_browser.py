"""The web interface in a real browser: every page, by mouse, by keys alone, on a phone's width, and with hostile answers."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from omni.engine import Engine, Reply, ScriptedEngine
from omni.keeper import Door, Doors
from tests.server.web_tools import Web, long_chat, node_modules, some_brains, web

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
pytestmark = [
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

    async def visit(self, served: Web, path: str = "", **context: Any) -> Visit:
        values = {"viewport": {"width": 1280, "height": 800}, **context}
        made = await self._browser.new_context(**values)
        self._stack.push_async_callback(made.close)
        await made.grant_permissions(["clipboard-read", "clipboard-write"], origin=served.url)
        page = await made.new_page()
        page.set_default_timeout(WAIT)
        found = Visit(page, served)
        self.visits.append(found)
        await page.goto(served.link)
        await page.wait_for_selector(".status")
        if path:
            await page.evaluate("path => { location.hash = path }", path)
        return found

    async def open(self, engine: Engine | None = None, **more: Any) -> Visit:
        return await self.visit(await self.serve(engine, **more))

    async def close(self) -> None:
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright

    async with async_playwright() as player:
        found = await player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(browser: Any, tmp_path: Path) -> AsyncIterator[Desk]:
    os.environ["OMNI_HOME"] = str(tmp_path / "home")
    found = Desk(browser, tmp_path)
    yield found
    await found.close()
    assert [wrong for visit in found.visits for wrong in visit.wrong] == []


async def test_a_question_is_answered_word_by_word(desk: Desk) -> None:
    gate = asyncio.Event()
    visit = await desk.open(ScriptedEngine([Reply(text="The **first** words and the last.", gates={3: gate})]))
    page = visit.page
    assert await page.title() == "Omni"
    assert "token" not in page.url
    await visit.ask("What is it?")
    await page.wait_for_selector(".live strong >> text=first")
    assert "last" not in await page.inner_text(".live")
    await page.wait_for_selector(".head h1 >> text=What is it?")
    gate.set()
    await visit.answered()
    assert "The first words and the last." in await page.inner_text(".message.assistant")
    assert await page.inner_text(".head h1") == "What is it?"
    await page.wait_for_selector(".list .row.current a >> text=What is it?")
    (made,) = await visit.served.chat.conversations()
    assert [one.text for one in await visit.served.chat.messages(made.id)] == [
        "What is it?",
        "The **first** words and the last.",
    ]


async def test_an_answer_is_stopped_and_gone_on_with(desk: Desk) -> None:
    gate = asyncio.Event()
    visit = await desk.open(ScriptedEngine([Reply(text="one two three", gates={2: gate}), " and four"]))
    page = visit.page
    await visit.ask("Count")
    await page.wait_for_selector(".live >> text=one two")
    await page.keyboard.press("Escape")
    await page.wait_for_selector(".message.assistant >> text=stopped")
    await page.click(".message.assistant >> text=go on")
    await page.wait_for_selector(".message.assistant .markdown >> text=one two and four")
    await visit.answered()
    assert await page.locator(".end").count() == 0


async def test_questions_are_edited_and_answers_made_again_on_branches(desk: Desk) -> None:
    visit = await desk.open(ScriptedEngine([f"Answer {number}." for number in range(1, 9)]))
    page = visit.page
    await visit.ask("First?")
    await visit.answered(1)
    await visit.ask("Second?")
    await visit.answered(2)
    await page.click(".message.assistant >> nth=1 >> text=retry")
    await page.wait_for_selector(".message.assistant >> text=Answer 3.")
    await visit.answered(2)
    assert await page.inner_text(".message.assistant >> nth=1 >> .branches span") == "2/2"
    await page.click(".message.assistant >> nth=1 >> [aria-label='the branch before']")
    await page.wait_for_selector(".message.assistant >> text=Answer 2.")
    await page.hover(".message.user >> nth=0")
    await page.click(".message.user >> nth=0 >> text=edit")
    await page.fill("[aria-label='edit the question']", "First, but better?")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".message.assistant >> text=Answer 4.")
    await visit.answered(1)
    assert await page.locator(".message").count() == 2
    await page.click(".message.user [aria-label='the branch before']")
    await page.wait_for_selector(".message.user >> text=Second?")
    assert await page.locator(".message").count() == 4


async def test_what_is_asked_during_an_answer_waits(desk: Desk) -> None:
    gate = asyncio.Event()
    visit = await desk.open(ScriptedEngine([Reply(text="one two", gates={1: gate}), "Second.", "Third."]))
    page = visit.page
    await visit.ask("First?")
    await page.wait_for_selector(".live >> text=one")
    await visit.ask("Second?")
    await visit.ask("Never?")
    await page.wait_for_selector(".waiting >> text=Never?")
    await page.click(".waiting li:nth-child(2) button")
    gate.set()
    await page.wait_for_selector(".message.assistant >> text=Second.")
    await visit.answered(2)
    assert await page.locator(".message.user").count() == 2


async def test_conversations_are_found_renamed_and_removed(desk: Desk) -> None:
    visit = await desk.open(ScriptedEngine(["About zebras.", "About lions."]))
    page = visit.page
    await visit.ask("Stripes?")
    await visit.answered(1)
    await page.keyboard.press("Escape")  # out of the field
    await page.keyboard.press("n")
    await page.wait_for_selector("text=Ask something.")
    await visit.ask("Manes?")
    await visit.answered(1)
    await page.fill("#search", "zebras")
    await page.click(".hit")
    await page.wait_for_selector(".message.found >> text=About zebras.")
    await page.fill("#search", "")
    await page.click("[aria-label='more for Manes?']")
    await page.click("[role=menuitem] >> text=rename")
    await page.fill("dialog input", "Big cats")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".list >> text=Big cats")
    await page.click("[aria-label='more for Big cats']")
    await page.click("[role=menuitem] >> text=remove")
    await page.click("dialog >> text=remove >> nth=-1")
    await page.wait_for_selector(".list >> text=Big cats", state="detached")
    assert [one.title for one in await visit.served.chat.conversations()] == ["Stripes?"]


async def test_what_is_found_in_the_open_conversation_is_shown_also_from_another_branch(desk: Desk) -> None:
    visit = await desk.open(ScriptedEngine(["About zebras.", "About lions."]))
    page = visit.page
    await visit.ask("Which animal?")
    await visit.answered(1)
    await page.click("text=retry")
    await page.wait_for_selector(".message.assistant >> text=About lions.")
    await visit.answered(1)
    await page.fill("#search", "zebras")
    await page.click(".hit")
    await page.wait_for_selector(".message.found >> text=About zebras.")
    assert await page.inner_text(".message.assistant .branches span") == "1/2"
    await page.fill("#search", "lions")
    await page.click(".hit mark >> text=lions")
    await page.wait_for_selector(".message.found >> text=About lions.")
    assert await page.locator(".message.found").count() == 1


async def test_a_conversation_is_saved_to_a_file(desk: Desk) -> None:
    visit = await desk.open(ScriptedEngine(["Kept."]))
    page = visit.page
    await visit.ask("Keep it?")
    await visit.answered()
    await page.click("text=export")
    async with page.expect_download() as download:
        await page.click("[role=menuitem] >> text=Markdown")
    saved = await download.value
    assert saved.suggested_filename == "keep-it.md"
    assert "Kept." in await asyncio.to_thread(Path(await saved.path()).read_text)


async def test_what_another_window_writes_is_here_at_once(desk: Desk) -> None:
    gate = asyncio.Event()
    served = await desk.serve(ScriptedEngine([Reply(text="first words last", gates={2: gate})]))
    one, two = await desk.visit(served), await desk.visit(served)
    await one.ask("Who sees this?")
    await two.page.click(".list >> text=Who sees this?")
    await two.page.wait_for_selector(".message.assistant >> text=first words")
    gate.set()
    await two.page.wait_for_selector(".message.assistant >> text=first words last")
    await two.page.wait_for_selector(".message.assistant >> text=retry")


async def test_the_brain_is_exchanged_in_mid_conversation(desk: Desk) -> None:
    visit = await desk.open()
    page = visit.page
    await visit.ask("One two three?")
    await visit.answered()
    await page.keyboard.press("Escape")
    await page.keyboard.press("b")
    await page.keyboard.type("coder")
    await page.wait_for_selector(".detail >> text=reads about 7 tokens again")
    await page.wait_for_selector(".detail >> text=is loaded first")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".status .brain >> text=@omni/coder")
    await visit.ask("And now?")
    await visit.answered(2)
    assert await page.inner_text(".message.assistant >> nth=1 >> .who") == "@omni/coder"
    assert await page.inner_text(".message.assistant >> nth=0 >> .who") == "@omni/smollm2"


async def test_a_brain_is_fetched_checked_and_removed(desk: Desk) -> None:
    visit = await desk.open()
    page = visit.page
    await page.click(".pages >> text=Cartridges")
    card = page.locator(".card", has_text="@omni/qwen")
    await card.locator("text=fetch").last.click()
    await page.wait_for_selector(".pull >> text=22 MB/s")
    await page.click(".pull >> text=cancel")
    await page.wait_for_selector(".pull >> text=cancelled; what came is kept")
    visit.served.library.step.set()
    await page.click(".pull >> text=go on")
    await page.wait_for_selector(".pull >> text=is here")
    await card.locator("text=verify").click()
    await page.wait_for_selector(".toast >> text=whole")
    await card.locator("text=use for new conversations").click()
    await card.locator("text=for new conversations").first.wait_for()
    await card.locator("text=remove").click()
    await page.click("dialog >> text=no")
    await card.locator("text=remove").click()
    await page.click("dialog .harm")
    await card.locator("text=to fetch").wait_for()
    await page.fill("[aria-label=filter]", "architect")
    await page.wait_for_function("() => document.querySelectorAll('.card').length == 1")
    await page.click(".card >> text=chat")
    await page.wait_for_selector(".status .brain >> text=@roe/architect")


async def test_settings_hold_at_once_and_in_the_file(desk: Desk) -> None:
    visit = await desk.open()
    page = visit.page
    await page.click(".pages >> text=Settings")
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.click(".themes >> text=Light")
    await page.wait_for_function("d => getComputedStyle(document.body).backgroundColor != d", arg=dark)
    await page.fill("text=answer tokens", "99")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".toast >> text=chat.answer_tokens is changed")
    await page.fill("text=answer tokens", "3")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".toast.bad")
    text = visit.served.services.home.config.read_text()
    assert "answer_tokens = 99" in text
    assert 'theme = "omni-light"' in text
    await page.reload()
    await page.wait_for_selector(".status")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


async def test_the_air_gap_is_one_press_away_and_two_from_being_undone(desk: Desk) -> None:
    visit = await desk.open()
    page = visit.page
    await page.wait_for_selector(".doors >> text=doors shut")
    await page.click(".doors")
    await page.wait_for_selector(".doors >> text=air gap")
    assert visit.served.keeper.state.air_gap
    await page.click(".doors")
    assert await page.evaluate("document.activeElement.textContent") == "no"
    await page.keyboard.press("Enter")
    assert visit.served.keeper.state.air_gap
    await page.keyboard.press("Control+Shift+X")
    await page.click("dialog .care")
    await page.wait_for_selector(".doors >> text=doors shut")
    assert not visit.served.keeper.state.air_gap


async def test_doors_that_only_listen_here_are_not_called_open_nor_shut(desk: Desk) -> None:
    served = await desk.serve()
    here = Door(purpose="serve", host="127.0.0.1:8080", since=1e9)
    served.keeper.state = Doors(air_gap=False, verified=True, open=(here,))
    page = (await desk.visit(served)).page
    await page.wait_for_selector(".doors.good >> text=no door out")
    assert "listens on 127.0.0.1:8080" in await page.inner_text(".doors")
    await page.click(".doors")  # shuts them all
    await page.wait_for_selector(".doors >> text=air gap")


async def test_system_shows_what_runs(desk: Desk) -> None:
    served = await desk.serve()
    served.keeper.load(served.library.known["@omni/coder"])
    visit = await desk.visit(served, "#/system")
    page = visit.page
    await page.wait_for_selector("tr >> text=@omni/coder")
    await page.click("tr >> text=end")
    await page.wait_for_selector("tr >> text=@omni/coder", state="detached")
    assert await page.locator(".graph").count() == 3


async def test_without_a_brain_the_page_says_how_to_get_one(desk: Desk) -> None:
    visit = await desk.open(brains=[one for one in some_brains() if one.state == "available"])
    visit.served.library.step.set()
    await visit.page.wait_for_selector("text=No brain is here yet.")
    await visit.page.fill("#composer", "Too early")
    await visit.page.keyboard.press("Enter")
    await visit.page.wait_for_selector(".toast.bad >> text=Fetch one first")
    assert await visit.page.input_value("#composer") == "Too early"
    assert await visit.served.chat.conversations() == []
    await visit.page.click("text=fetch @omni/qwen")
    await visit.page.wait_for_selector("text=Ask something.")


async def test_a_link_that_was_used_says_so_in_a_sentence(desk: Desk) -> None:
    served = await desk.serve()
    link = served.link
    first = await desk.visit(served)
    await first.page.goto("about:blank")
    page = await (await desk._browser.new_context()).new_page()
    for expected in (".status", "text=This link was used already"):
        await page.context.clear_cookies()
        await page.goto("about:blank")
        await page.goto(link)
        await page.wait_for_selector(expected)
    await page.context.close()


async def test_everything_works_without_a_mouse(desk: Desk) -> None:
    visit = await desk.open(ScriptedEngine(["One.", "Two."]))
    page = visit.page
    await page.keyboard.type("Asked by keys")
    await page.keyboard.press("Enter")
    await visit.answered()
    await page.keyboard.press("ArrowUp")
    await page.wait_for_selector("[aria-label='edit the question']")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await page.wait_for_selector("dialog >> text=the command palette")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("high contrast")
    await page.keyboard.press("Enter")
    await page.wait_for_function("() => document.documentElement.dataset.theme == 'omni-contrast'")
    for key, title in (("2", "Cartridges"), ("3", "System"), ("4", "Settings")):
        await page.keyboard.press(key)
        await page.wait_for_selector(f"h1 >> text={title}")
    await page.keyboard.press("1")
    await page.wait_for_selector(".message")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("k")
    assert "assistant" in await page.evaluate("document.activeElement.className")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "retry"
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".message.assistant >> text=Two.")
    await visit.answered()


async def test_it_fits_a_phone(desk: Desk) -> None:
    answer = (
        "# A title\n\n| "
        + " | ".join("abcdefgh")
        + " |\n"
        + "|---" * 8
        + "|\n\n```\n"
        + "long " * 60
        + "\n```\n"
        + "w" * 300
    )
    phone = {"viewport": {"width": 375, "height": 700}, "has_touch": True, "is_mobile": True}
    visit = await desk.visit(await desk.serve(ScriptedEngine([answer])), **phone)
    page = visit.page
    await visit.ask("Does it fit?")
    await visit.answered()
    for path in ("", "#/cartridges", "#/system", "#/settings"):
        if path:
            await page.evaluate("path => { location.hash = path }", path)
            await page.wait_for_selector(f".page[aria-label={path[2:]}]")
        wide = await page.evaluate(
            "[...document.querySelectorAll('main *, .status *')].filter(e => !e.closest('.wide, pre, .choices, .katex, .unseen')"
            " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className || e.tagName)"
        )
        assert wide == [], path
    await page.tap(".drawer-button")
    await page.tap(".pages >> text=Chat")
    await page.wait_for_selector(".message")
    assert await page.evaluate("document.documentElement.scrollWidth") == 375


HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    '<svg onload="alert(1)"><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><style>*{background:url(https://evil.example/a)}</style>",
    "[click](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>) [vb](vbscript:msgbox(1))",
    "[a](JaVaScRiPt:alert(1)) [b](\x01javascript:alert(1)) <javascript:alert(1)> [c](//evil.example/x)",
    "![x](https://evil.example/pixel.png) ![y](data:image/svg+xml,<svg onload=alert(1)>) ![z](//evil.example/p)",
    '[x](https://evil.example/"onmouseover="alert(1)) ![a](https://evil.example/"onerror="alert(1))',
    "```html onload=alert(1)\n<img src=x onerror=alert(1)>\n```",
    '```"><img src=x onerror=alert(1)>\ncode\n```',
    r"$\href{javascript:alert(1)}{x}$ $\includegraphics{https://evil.example/a.png}$ $\url{javascript:alert(1)}$",
    r"$\htmlStyle{background:url(https://evil.example/b)}{x}$ $\htmlData{a=b}{x}$ $\def\a{\a\a}\a$",
    '```mermaid\nflowchart LR\nA["<img src=https://evil.example/c onerror=alert(1)>"] --> B\nclick A "javascript:alert(1)"\n'
    'click B call alert()\n```',
    '```mermaid\n%%{init: {"securityLevel": "loose", "themeCSS": "* {background: url(https://evil.example/d)}"}}%%\n'
    "flowchart LR\nA-->B\nstyle A fill:url(https://evil.example/e)\nclassDef c fill:url(https://evil.example/f)\nclass B c\n```",
    '```mermaid\n---\nconfig:\n  securityLevel: loose\n---\nflowchart TD\nA@{ img: "https://evil.example/g.png", label: "x" }\n```',
    "```mermaid\nsequenceDiagram\nparticipant A\nlink A: x @ javascript:alert(1)\nA->>B: <script>alert(1)</script>\n```",
    '```mermaid\nclassDiagram\nclass A["<svg onload=alert(1)>"]\nlink A "https://evil.example/h"\n```',
    "```mermaid\n" + "A-->" * 4000 + "B\n```",
    "# " * 300 + "\n" + "> " * 500 + "deep\n" + "[" * 2000 + "\n" + "**" * 2000,
    "<a href='https://evil.example' target=_top>x</a><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><button>send</button></form><input autofocus onfocus=alert(1)>",
    "<base href=https://evil.example/><link rel=stylesheet href=https://evil.example/x.css>",
    "`<img src=x onerror=alert(1)>` \u202egnp.exe &lt;script&gt;alert(1)&lt;/script&gt; \x00 \ufeff",
]  # fmt: skip


@pytest.mark.parametrize("batch", range(4))
async def test_nothing_that_a_brain_writes_runs_or_reaches_out(desk: Desk, batch: int) -> None:
    texts = HOSTILE[batch::4]
    visit = await desk.open(ScriptedEngine([Reply(text=text, reasoning=text) for text in texts]))
    page = visit.page
    await page.evaluate("addEventListener('securitypolicyviolation', e => console.error(e.blockedURI))")
    for number, text in enumerate(texts, 1):
        await visit.ask(f"<img src=x onerror=alert({number})> {text[:20]}")
        await visit.answered(number)
    settled = "[...document.querySelectorAll('[data-lang=mermaid]')].every(e => e.matches('.drawn, [data-problem]'))"
    await page.wait_for_function(f"() => {settled} || !document.querySelector('.code')")
    for summary in await page.locator(".reasoning summary").all():
        await summary.click()
    bad = await page.evaluate(
        """[...document.querySelectorAll('.message *')].flatMap(e => [
             ...(e.matches('script, iframe, object, embed, form, style, link, meta, base, svg a, foreignObject') ? [e.outerHTML] : []),
             ...[...e.attributes].filter(a => /^on/.test(a.name) || /javascript:|vbscript:/i.test(a.value) && a.name != 'data-tex'
                                               && a.name != 'alt' && a.name != 'title' && a.name != 'aria-label')
                                 .map(a => a.name + '=' + a.value),
             ...(e.tagName == 'A' && !/^(https?|mailto):/.test(e.getAttribute('href') || 'https:') ? [e.outerHTML] : []),
             ...(e.tagName == 'A' && e.hasAttribute('href') && e.rel != 'noopener noreferrer' ? [e.outerHTML] : []),
             ...(e.tagName == 'IMG' && !e.src.startsWith('blob:') ? [e.outerHTML] : []),
           ])"""
    )
    assert bad == []


async def test_links_show_where_they_lead_and_pictures_stay_away(desk: Desk) -> None:
    text = "[the bank](https://evil.example/login) https://plain.example/x ![cat](https://cats.example/cat.png)"
    visit = await desk.open(ScriptedEngine([text]))
    await visit.ask("Links?")
    await visit.answered()
    shown = await visit.page.inner_text(".message.assistant .markdown")
    assert "the bank (https://evil.example/login)" in shown
    assert "https://plain.example/x" in shown
    assert "(https://plain.example/x)" not in shown
    assert "picture, not loaded: cat (https://cats.example/cat.png)" in shown


async def test_code_is_coloured_and_copied_formulas_and_diagrams_are_drawn(desk: Desk) -> None:
    text = "```python\ndef one():\n    return 1\n```\n\n$x^2$ and\n\n$$\\frac{1}{2}$$\n\n```mermaid\nflowchart LR\n  A --> B\n```\n"
    visit = await desk.open(ScriptedEngine([Reply(text=text, reasoning="First I think.")]))
    page = visit.page
    await visit.ask("Show it")
    await visit.answered()
    await page.wait_for_selector(".hljs-keyword >> text=def")
    await page.wait_for_function("() => document.querySelectorAll('.math.drawn .katex').length == 2")
    await page.wait_for_selector("img.diagram")
    assert await page.evaluate("document.querySelector('img.diagram').naturalWidth") > 20
    await page.click("[data-act=copy]")
    assert await page.evaluate("navigator.clipboard.readText()") == "def one():\n    return 1"
    assert await page.locator(".reasoning .plain").is_hidden()
    await page.click(".reasoning summary")
    await page.wait_for_selector(".reasoning >> text=First I think.")


async def test_a_long_conversation_keeps_only_what_is_near_and_finds_the_rest(desk: Desk) -> None:
    served = await desk.serve(ScriptedEngine(["End."]))
    made = await served.chat.load(long_chat(300))
    visit = await desk.visit(served, f"#/chat/{made.id}")
    page = visit.page
    await page.wait_for_selector(".message >> text=Answer number 149")
    await page.wait_for_function("() => document.querySelector('.scroller').scrollTop > 1000")
    assert await page.locator(".message").count() == 300
    assert await page.locator(".message .markdown").count() < 60
    await page.evaluate("document.querySelector('.scroller').scrollTop = 0")
    await page.wait_for_selector("#composer")
    await page.wait_for_function("() => document.querySelector('.message.assistant .markdown')")
    await page.wait_for_function("() => document.querySelectorAll('.message .markdown').length < 60")
    await page.click("text=to the end")
    await visit.ask("More?")
    await page.wait_for_selector(".message.assistant .markdown >> text=End.")


RICH = (
    "# Title\n\nSome **words**, `code` and [a link](https://example.org/).\n\n```python\ndef one():\n    # why\n    return 'x'\n```\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n> said\n\n$x^2$\n\n```mermaid\nflowchart LR\nA-->B\n```\n"
)


@pytest.mark.parametrize("theme", ["omni-dark", "omni-light", "omni-contrast"])
async def test_axe_finds_nothing_serious(desk: Desk, theme: str, axe: str) -> None:
    served = await desk.serve(ScriptedEngine([Reply(text=RICH, reasoning="First I think."), "Another.", "A third."]))
    await served.services.change_setting("ui.theme", theme)
    visit = await desk.visit(served)
    page = visit.page
    found = {"empty": await findings(page, axe)}
    await visit.ask("What is it?")
    await visit.answered()
    await page.click("text=retry")
    await page.wait_for_selector(".message.assistant >> text=Another.")
    await visit.answered()
    await page.click(".branches [aria-label='the branch before']")
    await page.wait_for_selector("img.diagram")
    await page.wait_for_selector(".hljs-keyword")
    found["chat"] = await findings(page, axe)
    for name in ("cartridges", "system", "settings"):
        await page.evaluate("name => { location.hash = '#/' + name }", name)
        await page.wait_for_selector(f".page[aria-label={name}] h2")
        await page.evaluate("document.activeElement.blur()")
        found[name] = await findings(page, axe)
    for key, name in (("Control+k", "palette"), ("?", "help"), ("b", "brains")):
        await page.keyboard.press(key)
        await page.wait_for_selector("dialog[open]")
        found[name] = await findings(page, axe)
        await page.keyboard.press("Escape")
        await page.wait_for_selector("dialog[open]", state="detached")
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checker, from the development dependencies of the pages."""
    return (node_modules(tmp_path_factory.getbasetemp()) / "axe-core" / "axe.min.js").read_text()


async def findings(page: Any, axe: str) -> list[str]:
    """What axe calls serious or critical."""
    await page.evaluate(axe)  # evaluated by the debugger: the policy of the page stays as it is
    result = await page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']} {[node['html'][:120] for node in one['nodes']][:4]}"
        for one in result["violations"]
        if one["impact"] in ("serious", "critical")
    ]
