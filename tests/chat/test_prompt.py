"""The prompt: stable part first, roles in turn, files in fences that they cannot close."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from omni.chat import ChatMessage
from omni.chat.prompt import prompt_of, rendered, system_text
from omni.core.messages import FilePart, Message
from omni.core.settings import ChatSettings, Settings


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
    assert [(message.role, message.content) for message in prompt_of(branch, "").messages()] == [("user", "a\n\nb")]


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
    assert all(message.content for message in messages)


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
    system = bench.engine.requests[-1].messages[0].content
    assert system.index("Be brief.") < system.index("Use tabs.") < system.index("In Latin.")
    service.settings = Settings(chat=ChatSettings(agents_md=False, system="ignored: the conversation has its own"))
    await collect(service.ask(made.id, "Hi"))
    assert bench.engine.requests[-1].messages[0].content == "Be brief.\n\nIn Latin."
    await collect(service.ask(made.id, "Hi", system="In Greek."))
    await collect(service.ask(made.id, "Hi"))
    assert bench.engine.requests[-1].messages[0].content == "Be brief.\n\nIn Greek."
