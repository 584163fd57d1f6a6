"""The chat pane among conversations: which one is shown, which branch of it, and what others write."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs
from textual.widgets import Input

from omni.chat import ChatMessage
from omni.chat.exported import to_json
from omni.core.messages import Message
from omni.engine.scripted import Reply
from omni.keeper import KeeperChange
from omni.shell.conversation.model import FIRST_SHOWN
from omni.shell.panes.chat_list import ConversationList
from omni.shell.widgets import Lines
from tests.shell.chat_tools import PaneHost, stage

pytestmark = pytest.mark.usefixtures("all_of_omni_watched")


async def test_editing_a_question_asks_on_a_new_branch_and_brackets_switch(tmp_path: Path) -> None:
    async with stage(tmp_path, "first", "second") as one:
        await one.say("old words")
        await one.quiet()
        await one.pilot.press("shift+tab", "shift+tab", "e")
        await one.until(lambda: one.composer.text == "old words")
        await one.say("new words")
        await one.quiet()
        assert [entry.text for entry in one.transcript.entries] == ["new words", "second"]
        await one.pilot.press("shift+tab", "shift+tab", "left_square_bracket")
        await one.quiet()
        assert [entry.text for entry in one.transcript.entries] == ["old words", "first"]


async def test_esc_leaves_an_edit_without_a_trace(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("old words")
        await one.quiet()
        await one.pilot.press("shift+tab", "e", "escape")
        await one.until(lambda: one.composer.text == "")
        await one.say("more")
        await one.quiet()
        assert len(one.transcript.entries) == 4


async def test_undo_gives_the_question_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("take me back")
        await one.quiet()
        await one.say("/undo")
        await one.quiet()
        assert one.composer.text == "take me back"
        assert not one.transcript.entries


async def test_an_answer_goes_on_while_another_conversation_is_shown(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, Reply(text="slow but whole", gates={1: gate}), "quick") as one:
        await one.say("first")
        await one.until(lambda: len(one.engine.requests) == 1)
        first = one.conversation.id
        await one.pilot.press("ctrl+n")
        await one.until(lambda: one.pane.model.conversation is None)
        await one.say("second")
        await one.until(lambda: "quick" in one.screen)
        gate.set()
        await one.quiet()
        assert "slow" not in one.screen
        await one.pane.open_conversation(first)
        assert "slow but whole" in one.screen


async def test_coming_back_to_a_running_answer_shows_all_of_it(tmp_path: Path) -> None:
    gates = {2: asyncio.Event(), 4: asyncio.Event()}
    async with stage(tmp_path, Reply(text="a b c d e f", gates=gates)) as one:
        await one.say("first")
        await one.until(lambda: "a b" in one.screen)
        conversation = one.conversation.id
        await one.pane.new_conversation()
        gates[2].set()
        await one.pilot.pause()
        await one.pane.open_conversation(conversation)
        gates[4].set()
        await one.quiet()
        assert "a b c d e f" in one.screen


async def test_a_change_by_another_front_end_is_read(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("mine")
        await one.quiet()
        kept = list(one.transcript.entries)
        await one.until(lambda: bool(one.host.statuses[-1].used))
        used = one.host.statuses[-1].used or 0
        other = one.services.chat
        async for _ in other.ask(one.conversation.id, "theirs"):
            pass
        one.pane.heard(KeeperChange(topic="conversation", value={"conversation": one.conversation.id}))
        await one.until(lambda: "theirs" in one.screen)
        assert list(one.transcript.entries)[:2] == kept
        await one.until(lambda: (one.host.statuses[-1].used or 0) > used)  # the meter counts what others asked, too
        assert one.host.statuses[-1].allocated == 4096


async def test_the_list_finds_renames_deletes_and_opens(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        for text in ("apples are red", "pears are green"):
            await one.say(text)
            await one.quiet()
            await one.pane.new_conversation()
        await one.pilot.press("ctrl+t")
        await one.until(lambda: isinstance(one.host.screen, ConversationList))
        sheet = one.host.screen
        assert isinstance(sheet, ConversationList)
        await one.until(lambda: len(sheet._listed) == 2)
        sheet.query_one(Input).value = "apples"
        await one.until(lambda: len(sheet._listed) == 1)
        await one.pilot.press("ctrl+r")
        sheet.query_one(Input).value = "Fruit"
        await one.pilot.press("enter")
        await one.until(lambda: any(listed.title == "Fruit" for listed in sheet._listed))
        while sheet._chosen() != next(
            conversation.id for conversation in sheet._listed if conversation.title != "Fruit"
        ):
            await one.pilot.press("down")
        await one.pilot.press("delete")
        assert sheet.has_class("-harm")
        assert len(sheet._listed) == 2
        await one.pilot.press("delete")
        await one.until(lambda: [listed.title for listed in sheet._listed] == ["Fruit"])
        await one.pilot.press("enter")
        await one.until(lambda: one.pane.model.conversation is not None)
        await one.quiet()
        assert "apples are red" in one.screen


async def test_the_title_stands_while_the_first_answer_is_written(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, Reply(text="some words", gates={1: gate})) as one:
        await one.say("Why is it slow?")
        await one.until(
            lambda: one.pane.model.conversation is not None and one.pane.model.conversation.title == "Why is it slow?"
        )
        gate.set()
        await one.quiet()


async def test_an_answer_of_another_omni_grows_in_place(tmp_path: Path) -> None:
    gates = {2: asyncio.Event(), 4: asyncio.Event()}
    async with stage(tmp_path, "mine", Reply(text="a b c d e f", gates=gates)) as one:
        await one.say("first")
        await one.quiet()
        conversation = one.conversation.id

        async def theirs() -> None:
            async for _ in one.services.chat.ask(conversation, "theirs"):
                pass

        def heard() -> None:
            one.pane.heard(KeeperChange(topic="conversation", value={"conversation": conversation}))

        asking = asyncio.create_task(theirs())
        await one.hears(heard, "a b")
        growing = one.transcript.entries[-1]
        assert growing.writing
        gates[2].set()
        await one.hears(heard, "a b c d")
        gates[4].set()
        await asking
        await one.hears(heard, "a b c d e f")
        assert one.transcript.entries[-1] is growing
        assert not growing.writing


COUNT = 4 * FIRST_SHOWN


async def open_long(one: PaneHost) -> None:
    """Open a conversation of COUNT messages."""
    messages = tuple(
        ChatMessage(id=str(at), parent=str(at - 1) if at else None, role="assistant" if at % 2 else "user",
                    parts=Message.of("user", f"message {at}\n\nand more of it").parts, time=0.0)
        for at in range(COUNT)
    )  # fmt: skip
    made = await one.services.chat.create()
    head = structs.replace(made, title="Long", head=str(COUNT - 1))
    long = await one.services.chat.load(to_json(head, messages))
    await one.pane.open_conversation(long.id)
    await one.quiet()


def title_of(one: PaneHost) -> str:
    lines = one.pane.query_one("#chat-title", Lines)
    return "".join(strip.text for strip in lines.render_lines(lines.size.region))


async def test_of_a_long_conversation_only_the_end_is_read_and_what_is_asked_there_is_added(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await open_long(one)
        assert f"message {COUNT - 1}" in one.screen
        assert one.transcript.following
        assert len(one.transcript.entries) == FIRST_SHOWN
        assert "turns" not in title_of(one), "how many there are is known when all of them are read"
        await one.say("more?")
        await one.quiet()
        assert "A whole answer." in one.screen
        assert len(one.transcript.entries) == FIRST_SHOWN + 2
        assert "turns" not in title_of(one)
        await one.pane.model.read_more(whole=True)
        await one.quiet()
        assert f"{COUNT // 2 + 1} turns" in title_of(one)


async def test_scrolling_up_a_long_conversation_comes_to_its_beginning_and_never_jumps(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await open_long(one)
        rows = one.screen.split("\n")
        while "message 0" not in one.screen:
            one.transcript.action_lines(-17)
            await one.quiet()
            above = one.screen.split("\n")
            assert above[17:] == rows[: len(rows) - 17] or one.transcript.scroll_y == 0
            rows = above
        assert len(one.transcript.entries) == COUNT


@pytest.mark.parametrize("keys", [("home",), ("shift+tab", "home")])
async def test_home_goes_to_the_very_beginning_of_a_long_conversation(tmp_path: Path, keys: tuple[str, ...]) -> None:
    async with stage(tmp_path) as one:
        await open_long(one)
        await one.pilot.press(*keys)
        await one.until(lambda: "message 0" in one.screen)


async def test_all_of_a_long_conversation_is_searched(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await open_long(one)
        await one.say("/search message 3")
        await one.until(lambda: "11 blocks" in one.notes)


async def test_up_recalls_every_question_of_a_long_conversation(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await open_long(one)
        await one.pilot.press("up")
        await one.until(lambda: one.composer.history[0].startswith("message 0"))
        await one.pilot.press("up")
        assert one.composer.text.startswith(f"message {COUNT - 4}")


async def test_up_recalls_the_questions_of_the_conversation_that_was_opened(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("an old question")
        await one.quiet()
        conversation = one.conversation.id
        one.composer.history.clear()
        await one.pane.new_conversation()
        await one.pane.open_conversation(conversation)
        await one.pilot.press("up")
        assert one.composer.text == "an old question"
