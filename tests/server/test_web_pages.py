"""The web interface in a real browser: every page, by mouse, by keys alone, on a phone's width, and for everybody."""

from typing import Any

import pytest

from omni.engine import Reply, ScriptedEngine
from omni.keeper import Door, Doors
from tests.server.browser_tools import IN_A_BROWSER, Desk
from tests.server.web_tools import node_modules, some_brains

pytestmark = IN_A_BROWSER


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
    await page.fill("text=max completion tokens", "99")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".toast >> text=chat.max_completion_tokens is changed")
    await page.fill("text=max completion tokens", "3")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".toast.bad")
    text = visit.served.services.home.config.read_text()
    assert "max_completion_tokens = 99" in text
    assert 'theme = "omni-light"' in text
    await page.reload()
    await page.wait_for_selector(".status")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


async def test_settings_of_a_plug_in_stand_beside_the_others(desk: Desk) -> None:
    visit = await desk.open()
    page = visit.page
    await page.click(".pages >> text=Settings")
    most, folders = [page.locator(f"h2:has-text('plug-in almanac') ~ .setting >> nth={at} >> input") for at in (0, 1)]
    await most.fill("9")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".toast >> text=plugins.almanac.most is changed")
    await folders.fill('["/srv"]')
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".toast >> text=plugins.almanac.folders is changed")
    await folders.fill("/srv")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".toast.bad >> text=plugins.almanac.folders does not take '/srv'")
    text = visit.served.services.home.config.read_text()
    assert '[plugins.almanac]\nmost = 9\nfolders = ["/srv"]' in text


async def test_a_page_of_a_plug_in_is_reached_from_the_menu(desk: Desk) -> None:
    visit = await desk.open()
    page = visit.page
    await page.click(".pages >> text=Dates to come")
    await page.wait_for_selector("h1 >> text=No date is near.")
    await page.go_back()
    await page.wait_for_selector(".pages >> text=Dates to come")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("dates to")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("h1 >> text=No date is near.")
    assert page.url == f"{visit.served.url}/plugins/almanac/dates"


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
    violations = {"empty": await findings(page, axe)}
    await visit.ask("What is it?")
    await visit.answered()
    await page.click("text=retry")
    await page.wait_for_selector(".message.assistant >> text=Another.")
    await visit.answered()
    await page.click(".branches [aria-label='the branch before']")
    await page.wait_for_selector("img.diagram")
    await page.wait_for_selector(".hljs-keyword")
    violations["chat"] = await findings(page, axe)
    for name in ("cartridges", "system", "settings"):
        await page.evaluate("name => { location.hash = '#/' + name }", name)
        await page.wait_for_selector(f".page[aria-label={name}] h2")
        await page.evaluate("document.activeElement.blur()")
        violations[name] = await findings(page, axe)
    for key, name in (("Control+k", "palette"), ("?", "help"), ("b", "brains")):
        await page.keyboard.press(key)
        await page.wait_for_selector("dialog[open]")
        violations[name] = await findings(page, axe)
        await page.keyboard.press("Escape")
        await page.wait_for_selector("dialog[open]", state="detached")
    assert {name: wrong for name, wrong in violations.items() if wrong} == {}


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
