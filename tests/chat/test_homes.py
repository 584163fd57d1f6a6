"""Homes that released builds have left: all of them is there, in the parts and names of today.

`homes/conversations.db.gz` is a database of the schema "conversations", and the JSON files are what that build exported
of it: branches, files, thoughts, an answer that was cut, stopped, failed, or never ended, a compaction and a summary.
"""

import gzip
from pathlib import Path

import pytest

from omni.chat import ChatStore
from omni.chat.exported import parsed
from omni.chat.schema import MIGRATIONS
from omni.core.database import Database
from omni.core.errors import StorageError
from omni.core.messages import FilePart, ReasoningPart, TextPart

RECORDED = Path(__file__).parent / "homes"
FIRST, UNFINISHED = "0000000000000001", "0000000000000010"


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    path = tmp_path / "chat/omni.db"
    path.parent.mkdir()
    path.write_bytes(gzip.decompress((RECORDED / "conversations.db.gz").read_bytes()))
    return path


async def test_all_that_was_said_is_there(old_home: Path) -> None:
    store = ChatStore(old_home)
    for number, name in enumerate((FIRST, UNFINISHED), 1):
        conversation, messages = parsed((RECORDED / f"conversations-{number}.json").read_text("utf-8"))
        assert await store.conversation(name) == conversation
        assert await store.all_messages(name) == list(messages)
    assert [each.title for each in await store.conversations()] == [
        "Empty",
        "An answer that nobody ended",
        "What is in notes.md?",
    ]
    await store.close()


async def test_files_thoughts_and_figures_are_parts_with_todays_names(old_home: Path) -> None:
    store = ChatStore(old_home)
    question, answer = (await store.branch(FIRST, (await store.messages(FIRST))[-1].id))[:2]
    text = "# Notes\nStärke, 力, and \U0001f642\n"
    assert question.parts == (
        FilePart(path="notes.md", bytes=26, lines=2, text=text),
        FilePart(path="b c.txt", bytes=2, lines=1, text="x\n"),
        TextPart(text="What is in notes.md?"),
    )
    assert answer.parts == (
        ReasoningPart(text="Hmm, let me read.", seconds=1.5),
        TextPart(text="It has two lines."),
    )
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.usage.completion_seconds) == (12, 0.25)
    assert answer.state == "complete"
    await store.close()


async def test_what_no_process_finished_becomes_interrupted_with_all_that_came(old_home: Path) -> None:
    store = ChatStore(old_home)
    assert await store.recover() == [UNFINISHED]
    answer = (await store.messages(UNFINISHED))[-1]
    assert (answer.state, answer.text, answer.reasoning) == ("interrupted", "It began and stopped", "Thinking aloud")
    resumed = await store.resume(UNFINISHED, answer.id)
    assert resumed.prior == (ReasoningPart(text="Thinking aloud"), TextPart(text="It began and stopped"))
    await store.close()


async def test_search_and_compaction_go_on(old_home: Path) -> None:
    store = ChatStore(old_home)
    hits = await store.search("spoke notes")
    assert [hit.snippet for hit in hits] == ["They spoke of notes."]
    messages = await store.messages(FIRST)
    assert [message.left_out for message in messages if message.left_out] == [99]
    started = await store.ask(FIRST, "Something about zebras")
    assert [hit.message for hit in await store.search("zebras")] == [started.question]
    await store.delete(FIRST)
    assert await store.search("notes") == []
    await store.close()


async def test_texts_with_zero_bytes_are_kept_whole(old_home: Path) -> None:
    text = "before\0after, \u529b\0"
    earlier = Database(old_home, MIGRATIONS[:1])
    await earlier.write(lambda db: db.execute("UPDATE message SET text = ? WHERE role <> 'summary'", (text,)))
    layouts = await earlier.read(
        lambda db: db.execute("SELECT count(*) FROM message WHERE attachments <> '[]' OR reasoning <> ''").fetchone()[0]
    )
    await earlier.close()
    assert layouts, "some of them have more parts than their text"
    store = ChatStore(old_home)
    for message in await store.all_messages(FIRST):
        if message.role != "summary":
            assert message.text == text
    await store.close()


async def test_the_build_that_made_it_refuses_it_in_words_and_finds_its_copy(old_home: Path) -> None:
    store = ChatStore(old_home)
    await store.conversations()
    await store.close()
    earlier = Database(old_home, MIGRATIONS[:1])
    with pytest.raises(StorageError, match=r"written by a newer Omni \(it has parts\)"):
        await earlier.read(lambda db: None)
    await earlier.close()
    copy = Database(old_home.with_name("omni.db.before-parts"), MIGRATIONS[:1])
    states = await copy.read(lambda db: {row[0] for row in db.execute("SELECT state FROM message")})
    assert "whole" in states
    await copy.close()
