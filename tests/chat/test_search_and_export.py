"""What was said is found again, and leaves as Markdown or JSON."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.chat import ChatMessage, Conversation
from omni.chat.exported import parsed, to_json
from omni.chat.search import words_of
from omni.core.errors import BadFile, EngineError
from omni.core.events import Usage
from omni.core.messages import FilePart, ImagePart, TextPart
from omni.engine import Reply, ScriptedEngine
from tests.image_tools import png


async def test_words_and_their_beginnings_are_found(bench: Any) -> None:
    service = bench.open(ScriptedEngine(["Use `sorted(naïve_list)`.", "Sure."]))
    made = await bench.talk(service, "How do I sort a list?", "Thanks!")
    [title, answer, *_] = await service.search("sort")
    assert (title.conversation, title.message, title.title) == (made, None, "How do I sort a list?")
    assert [title.snippet[start:end] for start, end in title.marks] == ["sort"]
    message_ids = {hit.message for hit in await service.search("naive")}
    assert message_ids == {(await service.messages(made))[1].id}
    assert answer.message is not None
    assert await service.search("sort thanks") == []  # every word, in one place
    assert await service.search("  ") == []


@pytest.mark.parametrize("text", ["->", "100%", "ist", "俳句", "a_b", "\\", 'say "no"'])
async def test_what_is_no_word_is_found_too(bench: Any, text: str) -> None:
    service = bench.open()
    made = await bench.talk(service, f"title\n\nbefore it {text} and after; 海の俳句を")
    hits = await service.search(text)
    assert [hit.conversation for hit in hits] == [made]
    assert [conversation.id for conversation in await service.conversations(query=text)] == [made]
    assert await service.conversations(query="%nothing_") == []


async def test_conversations_are_filtered_by_what_was_said(bench: Any) -> None:
    service = bench.open()
    first = await bench.talk(service, "about whales", project="/a")
    second = await bench.talk(service, "hello", "and whales again", project="/b")
    bench.clock.time += 1
    await bench.talk(service, "nothing of that")
    assert {conversation.id for conversation in await service.conversations(query="whale")} == {first, second}
    assert [conversation.id for conversation in await service.conversations(query="whale", project="/b")] == [second]


async def test_a_changed_text_is_found_by_its_new_words_only(bench: Any) -> None:
    service = bench.open()
    made = await bench.talk(service, "about whales")
    await service.rename(made, "Fish")
    titles = [hit for hit in await service.search("whales") if hit.message is None]
    assert titles == []
    assert (await service.search("fish"))[0].message is None
    await service.delete(made)
    assert await service.search("fish") == []


@given(st.text())
def test_any_text_makes_a_query(text: str) -> None:
    query = words_of(text)
    assert query.count('"') % 2 == 0


@given(st.text(max_size=20))
def test_any_text_can_be_looked_for(text: str) -> None:
    import sqlite3

    from omni.chat.schema import MIGRATIONS
    from omni.chat.search import find, matching

    with sqlite3.connect(":memory:") as db:
        db.row_factory = sqlite3.Row
        db.executescript("".join(migration.script for migration in MIGRATIONS))
        assert find(db, text, 10) == []
        condition, values = matching(db, text)
        assert db.execute(f"SELECT * FROM conversation c WHERE {condition}", values).fetchall() == []
    db.close()


async def test_markdown_shows_the_active_branch(bench: Any, collect: Any) -> None:
    failing = Reply(text="half an answer", error=EngineError("It died."), fail_after=2)
    service = bench.open(ScriptedEngine([Reply(text="Because.", reasoning="Why indeed"), "Other.", failing]))
    made = await service.create(project="/p", system="Be kind.")
    file = FilePart(path="a.md", bytes=9, lines=1, text="```\nx\n```")
    await collect(service.ask(made.id, "Why?", attachments=[file]))
    question = (await service.messages(made.id))[0]
    await collect(service.edit(made.id, question.id, "Not this?"))
    await service.switch(made.id, question.id)
    with pytest.raises(EngineError):
        await collect(service.ask(made.id, "More"))
    assert await service.export(made.id) == (
        "# Why?\n\n*exported from Omni, 2023-11-14 22:13 UTC · project `/p`*\n\n## System\n\nBe kind.\n\n"
        "## You\n\na.md\n````\n```\nx\n```\n````\n\nWhy?\n\n"
        "## @omni/test\n\n<details><summary>Reasoning</summary>\n\nWhy indeed\n\n</details>\n\nBecause.\n\n"
        "## You\n\nMore\n\n## @omni/test\n\nhalf an\n\n*failed: It died.*\n"
    )


async def test_json_comes_back_whole(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([Reply(text="one", reasoning="hm")]))
    made = await bench.talk(service, "a", "b", project="/p", system="s")
    file = FilePart(path="a.md", bytes=1, lines=1, text="content")
    await collect(service.edit(made, (await service.messages(made))[2].id, "c", attachments=[file]))
    await service.rename(made, "Mine")
    text = await service.export(made, "json")
    loaded = await service.load(text)
    again = await service.export(loaded.id, "json")

    def bare(exported: str) -> Any:
        _, messages = parsed(exported)
        places = {message.id: str(place) for place, message in enumerate(messages)}
        renamed = exported
        for old, new in places.items():
            renamed = renamed.replace(old, new)
        whole = msgspec.json.decode(renamed)
        for key in ("id", "revision"):
            del whole["conversation"][key]
        return whole

    assert bare(again) == bare(text)
    assert [said.text for said in await service.messages(loaded.id)] == ["a", "one", "c", "one"]
    await collect(service.ask(loaded.id, "d"))
    assert "content" in bench.engine.requests[-1].messages[3].text


messages = st.builds(
    ChatMessage,
    id=st.uuids().map(str),
    parent=st.none(),
    role=st.sampled_from(["user", "assistant", "summary"]),
    parts=st.tuples(st.builds(TextPart, text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))),
    time=st.floats(0, 2e9),
    state=st.sampled_from(["complete", "cancelled", "failed"]),
    usage=st.none() | st.builds(Usage, prompt_tokens=st.integers(0, 9)),
)


@given(st.lists(messages, max_size=5, unique_by=lambda message: message.id))
def test_any_conversation_survives_json(said: list[ChatMessage]) -> None:
    conversation = Conversation(
        id="c", title="t", project=None, created=1.0, updated=2.0, brain="", system="", head=None, turns=0, revision=1
    )
    assert parsed(to_json(conversation, said)) == (conversation, tuple(said))


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"format": "other"}', "\ud800"])
def test_what_is_no_export_is_refused(text: str) -> None:
    with pytest.raises(BadFile):
        parsed(text)


async def test_an_export_with_a_wrong_value_is_refused_with_its_place(bench: Any) -> None:
    service = bench.open()
    text = await service.export(await bench.talk(service, "a"), "json")
    for right, wrong, says in (
        ('"role": "user"', '"role": "nobody"', r"messages\[0\]\.role: expected one of .*'user'.*, found 'nobody'"),
        ('"format": "omni-conversation"', '"format": "omni-conversation', "expected a text"),
        ('"turns": 1', '"turns": "one"', r"conversation\.turns: expected a whole number, found a text of 3 characters"),
    ):
        assert right in text
        place = rf"^The exported conversation, line \d+, column \d+: {says}"
        with pytest.raises(BadFile, match=place):
            await service.load(text.replace(right, wrong, 1))


async def test_an_export_that_is_no_tree_is_refused(bench: Any) -> None:
    service = bench.open()
    made = await bench.talk(service, "a")
    text = await service.export(made, "json")
    first = (await service.messages(made))[0].id
    for broken in (text.replace('"parent": null', '"parent": "nobody"'), text.replace(first, "x" * 16, 1)):
        with pytest.raises(BadFile):
            await service.load(broken)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (-5, 7), (10**9, 10**9)])
def test_an_exported_image_is_as_large_as_its_bytes_say(width: int, height: int) -> None:
    claims = struct.pack(">II", 60_000, 60_000)
    taken, bomb = (_shown(data, width, height) for data in (png(8, 6), png(8, 6)[:16] + claims + png(8, 6)[24:]))
    (image,) = parsed(taken)[1][0].parts
    assert isinstance(image, ImagePart)
    assert (image.width, image.height, image.data) == (8, 6, png(8, 6))
    for refused in (bomb, _shown(b"no image", width, height)):
        with pytest.raises(BadFile, match="An image of the exported conversation cannot be taken"):
            parsed(refused)


def _shown(data: bytes, width: int, height: int) -> str:
    conversation = Conversation(
        id="c", title="", project=None, brain="", system="", created=0.0, updated=0.0, head="m", turns=1, revision=0
    )
    image = ImagePart(data=data, kind="png", width=width, height=height)
    return to_json(conversation, [ChatMessage(id="m", parent=None, role="user", time=0.0, parts=(image,))])
