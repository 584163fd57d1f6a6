"""The web interface in a real browser: questions, answers and conversations."""

import asyncio
from pathlib import Path

from omni.engine import Reply, ScriptedEngine
from tests.image_tools import png
from tests.server.browser_tools import IN_A_BROWSER, Desk

pytestmark = IN_A_BROWSER


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


async def test_a_page_that_is_loaded_anew_reads_on_in_the_answer_and_can_stop_it(desk: Desk) -> None:
    gates = {2: asyncio.Event(), 3: asyncio.Event()}
    visit = await desk.open(ScriptedEngine([Reply(text="one two three four", gates=gates)]))
    page = visit.page
    await visit.ask("Count")
    await page.wait_for_selector(".live >> text=one two")
    await page.reload()
    await page.wait_for_selector(".live >> text=one two")
    gates[2].set()
    await page.wait_for_selector(".live >> text=one two three")
    await page.keyboard.press("Escape")
    await page.wait_for_selector(".message.assistant >> text=stopped")
    assert "one two three" in await page.inner_text(".message.assistant")
    assert await page.locator(".message").count() == 2


async def test_two_pages_show_one_answer_word_by_word(desk: Desk) -> None:
    gates = {1: asyncio.Event(), 2: asyncio.Event()}
    visit = await desk.open(ScriptedEngine([Reply(text="one two three", gates=gates)]))
    await visit.ask("Count")
    await visit.page.wait_for_selector(".live >> text=one")
    other = await visit.page.context.new_page()
    await other.goto(visit.page.url)
    await other.wait_for_selector(".live >> text=one")
    gates[1].set()
    await other.wait_for_selector(".live >> text=one two")
    await visit.page.close()
    gates[2].set()
    await other.wait_for_selector(".message.assistant .markdown:not(.live) >> text=one two three")


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


async def test_the_end_stays_in_view_while_diagrams_are_drawn(desk: Desk) -> None:
    diagram = "```mermaid\nflowchart TD\n  A --> B\n  B --> C\n  C --> D\n```\n\n"
    visit = await desk.open(ScriptedEngine([diagram * 3 + "The end."]))
    page = visit.page
    await visit.ask("Draw")
    await page.wait_for_function("() => document.querySelectorAll('img.diagram').length == 3")
    await page.wait_for_function(
        "() => { const s = document.querySelector('.scroller');"
        " return s.scrollHeight > s.clientHeight && s.scrollHeight - s.scrollTop - s.clientHeight < 2 }"
    )
    await page.hover(".scroller")
    await page.mouse.wheel(0, -600)
    await page.wait_for_selector(".to-end")
    await page.click(".to-end")
    await page.wait_for_selector(".to-end", state="detached")


async def test_the_enter_that_ends_a_composition_sends_nothing(desk: Desk) -> None:
    """Safari says so by the code of the key alone."""
    visit = await desk.open(ScriptedEngine(["Answer."]))
    page = visit.page
    await page.fill("#composer", "にほん")
    await page.evaluate(
        "() => document.querySelector('#composer').dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'Enter', keyCode: 229, bubbles: true, cancelable: true}))"
    )
    assert await page.input_value("#composer") == "にほん"
    await page.press("#composer", "Enter")
    await visit.answered()
    assert await page.locator(".message.user").count() == 1


async def test_a_long_question_is_edited_in_a_field_as_high_as_it(desk: Desk) -> None:
    visit = await desk.open(ScriptedEngine(["Answer."]))
    page = visit.page
    await visit.ask("\n".join(f"line {number}" for number in range(12)))
    await visit.answered()
    await page.hover(".message.user")
    await page.click(".message.user >> text=edit")
    field = page.locator("[aria-label='edit the question']")
    assert await field.evaluate("e => e.scrollHeight <= e.clientHeight")


async def test_an_image_goes_along_is_shown_and_stays_when_the_page_is_loaded_anew(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "plan.png").write_bytes(png(320, 180))
    engine = ScriptedEngine(["A square."], vision=True)
    visit = await desk.open(engine)
    page = visit.page
    await page.set_input_files("input[type=file]", str(tmp_path / "plan.png"))
    await page.wait_for_selector(".composer .chip >> text=plan.png")
    await visit.ask("What is this?")
    await visit.answered()
    assert [image.data for image in engine.requests[0].messages[-1].images] == [png(320, 180)]
    # A function, as the page's policy lets none evaluate a text once it has to wait.
    drawn = "() => document.querySelector('img.shown')?.naturalWidth === 320"
    size = (
        "() => { const shown = document.querySelector('img.shown'); return shown && [shown.naturalWidth, shown.alt]; }"
    )
    await page.wait_for_function(drawn)
    await page.reload()
    await page.wait_for_function(drawn)
    assert await page.evaluate(size) == [320, "plan.png"]
