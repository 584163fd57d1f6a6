"""The prompt: stable part first, roles in turn, files in fences that they cannot close."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.chat import ChatMessage
from omni.chat.prompt import prompt_of, rendered, system_text
from omni.core.errors import UsageError
from omni.core.messages import ContextPart, FilePart, Message, Part, ReasoningPart
from omni.core.settings import ChatSettings, Settings
from omni.engine import NOT_SEEN, ScriptedEngine, image_of
from tests.image_tools import png, shown


def said(role: Any, text: str, state: Any = "complete") -> ChatMessage:
    return ChatMessage(
        id=text or role, parent=None, role=role, parts=Message.of("user", text).parts, time=0.0, state=state
    )


def test_the_system_text_has_its_order() -> None:
    agents = FilePart(path="AGENTS.md", bytes=1, lines=1, text="\nUse tabs.\n")
    assert system_text("Be brief.", agents, "In Latin.") == (
        "Be brief.\n\nInstructions of this project, from its AGENTS.md:\n\nUse tabs.\n\nIn Latin."
    )
    assert system_text("", None, " ") == ""
    assert prompt_of([said("user", "a")], "").messages()[0].role == "user"


def test_questions_without_an_answer_are_joined() -> None:
    branch = [said("user", "a"), said("assistant", "", "failed"), said("user", "b")]
    assert [(message.role, message.text) for message in prompt_of(branch, "").messages()] == [("user", "a\n\nb")]


def test_files_and_what_was_looked_up_are_words_before_the_images_and_thoughts_are_left_out() -> None:
    parts: tuple[Part, ...] = (
        image_of(png(3)),
        FilePart(path="f", bytes=1, lines=1, text="x"),
        ContextPart(text="y", source="a page", bytes=1, lines=1),
    )
    thought = Message.of("assistant", ReasoningPart(text="Hm."), "A").parts
    branch = [
        ChatMessage(id="1", parent=None, role="user", parts=Message.of("user", *parts, "Q").parts, time=0.0),
        ChatMessage(id="2", parent="1", role="assistant", parts=thought, time=0.0),
        ChatMessage(id="3", parent="2", role="user", parts=Message.of("user", image_of(png(4))).parts, time=0.0),
    ]
    question, answer, last = prompt_of(branch, "").messages()
    assert shown(question) == ["f\n```\nx\n```\n\na page\n```\ny\n```", ("png", 3), "\n\nQ"]
    assert (shown(answer), shown(last)) == (["A"], [("png", 4)])


async def test_an_image_stays_in_its_question(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine(vision=True))
    made = await service.create()
    await collect(service.ask(made.id, "What is this?", attachments=[image_of(png(3), path="a.png")]))
    await collect(service.ask(made.id, "Sure?"))
    question = bench.engine.requests[-1].messages[1]
    assert shown(question) == [("png", 3), "What is this?"]
    assert question.images[0].data == png(3)
    blind = bench.open(ScriptedEngine())
    await collect(blind.ask(made.id, "And you?"))  # reads that an image was there


async def test_an_image_that_was_refused_refuses_no_later_question(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine())
    made = await service.create()
    with pytest.raises(UsageError, match="cannot see"):
        await collect(service.ask(made.id, "What is this?", attachments=[image_of(png(3))]))
    await collect(service.ask(made.id, "Never mind."))
    assert shown(bench.engine.requests[-1].messages[-1]) == [f"{NOT_SEEN}\n\nWhat is this?\n\nNever mind."]


roles = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "summary"]), st.sampled_from(["", "x", "y"])), max_size=12
)


@given(roles, st.integers(0, 12))
def test_roles_always_take_turns(parts: list[tuple[str, str]], left_out: int) -> None:
    prompt = prompt_of([said(role, text) for role, text in parts], "s")
    messages = prompt.messages(min(left_out, max(0, len(prompt.turns) - 1)))
    sent_roles = [message.role for message in messages]
    assert sent_roles[:1] == ["system"]
    assert all(one != other for one, other in pairwise(sent_roles))
    assert all(message.text for message in messages)


@given(st.text(alphabet="`~a\n", max_size=40))
def test_nothing_in_a_file_closes_its_fence(text: str) -> None:
    lines = rendered(FilePart(path="f", bytes=1, lines=1, text=text)).split("\n")
    fence = lines[1]
    assert set(fence) == {"`"}
    assert lines[-1] == fence
    assert not any(line.startswith(fence) for line in lines[2:-1])


async def test_the_projects_instructions_are_honoured(bench: Any, collect: Any, tmp_path: Any) -> None:
    (tmp_path / "project" / "sub").mkdir(parents=True)
    (tmp_path / "project" / "AGENTS.md").write_text("Use tabs.")
    service = bench.open()
    made = await service.create(project=tmp_path / "project" / "sub", system="In Latin.")
    await collect(service.ask(made.id, "Hi"))
    system = bench.engine.requests[-1].messages[0].text
    assert system.index("Be brief.") < system.index("Use tabs.") < system.index("In Latin.")
    service.settings = Settings(chat=ChatSettings(agents_md=False, system="ignored: the conversation has its own"))
    await collect(service.ask(made.id, "Hi"))
    assert bench.engine.requests[-1].messages[0].text == "Be brief.\n\nIn Latin."
    await collect(service.ask(made.id, "Hi", system="In Greek."))
    await collect(service.ask(made.id, "Hi"))
    assert bench.engine.requests[-1].messages[0].text == "Be brief.\n\nIn Greek."
