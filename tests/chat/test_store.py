"""The store against a model of it: any order of questions, branches, crashes and returns."""

import asyncio
import tempfile
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omni.chat import ChatStore
from omni.chat.store import Beginning
from omni.chat.tree import MessageNode, Tree
from omni.chat.writing import ConversationBusy, Outcome
from omni.core.errors import NotFound, UsageError
from omni.core.events import TextDelta
from omni.core.messages import FilePart, Message, text_of

TEXTS = st.text(max_size=12)
QUESTIONS = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
ENDS = st.sampled_from(["complete", "cancelled", "failed", "dead"])


def stored(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


class Said(NamedTuple):
    parent: str | None
    role: str
    text: str
    state: str
    number: int


class StoreMachine(RuleBasedStateMachine):
    """Conversations as a dictionary, compared with the real ones after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.ids = (f"id{number:04}" for number in count())
        self.said: dict[str, Said] = {}
        self.head: str | None = None
        self.numbers = count()
        self.reopen()

    def reopen(self) -> None:
        self.store = ChatStore(Path(self.folder.name) / "omni.db", new_id=lambda: next(self.ids))

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def tree(self) -> Tree:
        return Tree(MessageNode(message, said.parent, said.number) for message, said in self.said.items())

    @initialize()
    def create(self) -> None:
        self.conversation = self.do(self.store.create(project="/p", system="s")).id

    def answer(self, started: Any, pieces: list[str], end: Any) -> None:
        """Write an answer and end it in one of the ways that there are."""
        prior = self.said[started.answer].text if started.answer in self.said else ""
        assert text_of(started.prior) == prior
        for piece in pieces:
            self.do(self.store.append(self.conversation, started.answer, TextDelta(text=piece)))
        text = prior + "".join(map(stored, pieces))
        if end == "dead":
            self.do(self.store.close())
            self.reopen()
        else:
            self.do(
                self.store.finish(
                    self.conversation, started.answer, Outcome(state=end, parts=Message.of("assistant", text).parts)
                )
            )
        old = self.said.get(started.answer)
        self.said[started.answer] = Said(
            old.parent if old else started.question,
            "assistant",
            text,
            "interrupted" if end == "dead" else end,
            old.number if old else next(self.numbers),
        )
        self.head = started.answer

    def asked(self, started: Any, parent: str | None, text: str) -> None:
        self.said[started.question] = Said(parent, "user", stored(text), "complete", next(self.numbers))

    @rule(text=QUESTIONS, pieces=st.lists(TEXTS, max_size=3), end=ENDS)
    def ask(self, text: str, pieces: list[str], end: Any) -> None:
        parent = self.head
        started = self.do(self.store.ask(self.conversation, text))
        self.asked(started, parent, text)
        self.answer(started, pieces, end)

    @precondition(lambda self: self.said)
    @rule(data=st.data(), pieces=st.lists(TEXTS, max_size=2), end=ENDS)
    def regenerate(self, data: st.DataObject, pieces: list[str], end: Any) -> None:
        message = data.draw(st.sampled_from(sorted(self.said)))
        started = self.do(self.store.regenerate(self.conversation, message))
        said = self.said[message]
        assert started.question == (message if said.role == "user" else said.parent)
        self.answer(started, pieces, end)

    @precondition(lambda self: self.said)
    @rule(data=st.data(), text=QUESTIONS, end=ENDS)
    def edit(self, data: st.DataObject, text: str, end: str) -> None:
        message = data.draw(st.sampled_from(sorted(self.said)))
        if self.said[message].role == "assistant":
            with pytest.raises(UsageError):
                self.do(self.store.edit(self.conversation, message, text))
            return
        started = self.do(self.store.edit(self.conversation, message, text))
        self.asked(started, self.said[message].parent, text)
        self.answer(started, ["x"], end)

    @precondition(lambda self: self.said)
    @rule(data=st.data(), piece=TEXTS, end=ENDS)
    def resume(self, data: st.DataObject, piece: str, end: str) -> None:
        message = data.draw(st.sampled_from(sorted(self.said)))
        said = self.said[message]
        if said.role == "user" or said.state == "complete" or self.tree().children(message):
            with pytest.raises(UsageError):
                self.do(self.store.resume(self.conversation, message))
            return
        self.answer(self.do(self.store.resume(self.conversation, message)), [piece], end)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(sorted(self.said)))
        self.head = self.tree().leaf(message)
        assert self.do(self.store.switch(self.conversation, message)) == self.head

    @rule()
    def undo(self) -> None:
        questions = [message for message in self.tree().path(self.head) if self.said[message].role == "user"]
        if not questions:
            with pytest.raises(UsageError):
                self.do(self.store.undo(self.conversation))
            return
        assert self.do(self.store.undo(self.conversation)) == self.said[questions[-1]].text
        self.head = self.said[questions[-1]].parent

    @rule()
    def export_and_load(self) -> None:
        """A loaded copy says the same, and changes nothing here."""
        whole = self.do(self.store.all_messages(self.conversation))
        copy = self.do(self.store.restore(self.do(self.store.conversation(self.conversation)), whole))
        again = self.do(self.store.all_messages(copy.id))
        assert [(said.role, said.text, said.state) for said in again] == [
            (said.role, said.text, said.state) for said in whole
        ]
        assert len(self.do(self.store.messages(copy.id))) == len(self.do(self.store.messages(self.conversation)))
        self.do(self.store.delete(copy.id))

    @invariant()
    def as_in_the_model(self) -> None:
        if not hasattr(self, "conversation"):
            return
        tree = self.tree()
        view = self.do(self.store.messages(self.conversation))
        assert [message.id for message in view] == tree.path(self.head)
        for message in view:
            said = self.said[message.id]
            assert (message.parent, message.role, message.text, message.state) == said[:4]
            assert message.siblings == tree.siblings(message.id)
        for last in (1, 3, len(view) + 1):
            assert self.do(self.store.messages(self.conversation, last)) == view[-last:]
        conversation = self.do(self.store.conversation(self.conversation))
        assert conversation.head == self.head
        assert conversation.turns == sum(said.role == "user" for said in self.said.values())
        assert [known.id for known in self.do(self.store.conversations())] == [self.conversation]

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        self.folder.cleanup()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=20, stateful_step_count=16, deadline=None)


async def test_conversations_come_newest_first_and_by_project(bench: Any) -> None:
    service = bench.open()
    for project in ("/a", "/b", "/a", None):
        bench.clock.time += 1
        await service.create(project=project)
    projects = [conversation.project for conversation in await service.conversations()]
    assert projects == [None, "/a", "/b", "/a"]
    assert len(await service.conversations(project="/a")) == 2
    assert [conversation.project for conversation in await service.conversations(limit=2, offset=1)] == ["/a", "/b"]


async def test_what_is_not_there_is_not_found(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create()
    for missing in (
        service.conversation("x"),
        service.messages("x"),
        service.rename("x", "y"),
        service.delete("x"),
        service.undo("x"),
        service.switch("x", "y"),
        service.switch(made.id, "y"),
        service.export("x"),
        collect(service.ask("x", "hello")),
        collect(service.regenerate(made.id, "y")),
        collect(service.edit(made.id, "y", "z")),
        collect(service.resume(made.id, "y")),
        collect(service.compact("x")),
    ):
        with pytest.raises(NotFound):
            await missing


async def test_deleting_removes_every_trace(bench: Any) -> None:
    service = bench.open()
    made = await service.create()
    started = await bench.store.ask(
        made.id, "secret", attachments=[FilePart(path="f", bytes=1, lines=1, text="hidden")]
    )
    await bench.store.append(made.id, started.answer, TextDelta(text="piece"))
    await bench.store.begin_at(Beginning(message=started.question, allocated=1, tokens=1, turns=1))
    await service.delete(made.id)
    left = await bench.store._database.read(
        lambda db: [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("conversation", "message", "piece", "content", "beginning")
        ]
    )
    assert left == [0] * 5
    assert await service.search("secret") == []


async def test_a_title_comes_from_the_first_question_and_can_be_changed(bench: Any) -> None:
    service = bench.open()
    conversation = await bench.talk(service, "How do I sort?", "And backwards?")
    assert (await service.conversation(conversation)).title == "How do I sort?"
    await service.rename(conversation, "  Sorting \n lists ")
    assert (await service.conversation(conversation)).title == "Sorting lists"


async def test_an_empty_question_is_refused(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create()
    with pytest.raises(UsageError):
        await collect(service.ask(made.id, " \n"))
    assert await service.messages(made.id) == []


async def test_bytes_that_are_no_text_are_stored_as_something(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create(system="\udcff")
    await collect(service.ask(made.id, "a\0b\udc80c"))
    assert (await service.messages(made.id))[0].text == "a\ufffdb?c"


async def test_two_writers_in_one_conversation_are_kept_apart(bench: Any) -> None:
    service = bench.open()
    first = bench.store
    made = await service.create()
    started = await first.ask(made.id, "one")
    bench.open()
    second = bench.store
    for work in (second.ask(made.id, "two"), second.summarise(made.id), second.regenerate(made.id, started.question)):
        with pytest.raises(ConversationBusy):
            await work
    for work in (second.undo(made.id), second.switch(made.id, started.question)):
        with pytest.raises(UsageError, match="being written"):
            await work
    assert await second.recover() == []
    await first.close()
    assert await second.recover() == [made.id]
    assert [said.state for said in await second.messages(made.id)] == ["complete", "interrupted"]
    assert (await second.ask(made.id, "two")).answer


async def test_deleting_during_an_answer_ends_it(bench: Any) -> None:
    service = bench.open()
    made = await service.create()
    started = await bench.store.ask(made.id, "one")
    await service.delete(made.id)
    with pytest.raises(NotFound):
        await bench.store.append(made.id, started.answer, TextDelta(text="more"))
    await bench.store.finish(made.id, started.answer, Outcome(state="cancelled"))
    assert await service.conversations() == []
