"""Windows that close while something is being done in them: the work goes on, is seen, and can be stopped from elsewhere."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from omni.chat import ChatMessage, ChatStore
from tests.cartridges.conftest import gguf_bytes
from tests.e2e.conftest import Person
from tests.slow_server import SlowServer
from tests.waiting import until

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
WRITING = "•Chat"


def begun(person: Person, tokens: int) -> dict[str, Any]:
    """The shell that goes on without its window, as `omni ps` lists it, with an answer of up to so many tokens."""
    person.omni("config", "set", "chat.max_completion_tokens", str(tokens))
    terminal = person.shell()
    terminal.type("Tell me a very long story of the sea, please.")
    terminal.key("Enter")
    terminal.until(WRITING)
    terminal.vanish()
    (shell,) = [row for row in json.loads(person.omni("ps", "--json")) if row["name"].startswith("shell-")]
    return dict(shell)


def answer(person: Person) -> ChatMessage:
    async def read() -> ChatMessage:
        store = ChatStore(person.home.chat)
        (conversation,) = await store.conversations()
        messages = await store.messages(conversation.id)
        await store.close()
        return messages[-1]

    return asyncio.run(read())


def shells(person: Person) -> list[str]:
    return [row["name"] for row in json.loads(person.omni("ps", "--json")) if row["name"].startswith("shell-")]


def gone(person: Person) -> None:
    """Wait until no shell is left."""
    asyncio.run(until(lambda: not shells(person), 120))


def test_an_answer_goes_on_without_its_window_and_the_shell_ends_with_it(owner: Person) -> None:
    shell = begun(owner, 1500)
    assert shell["jobs"], "the answer was over before the window was closed"
    assert answer(owner).state == "writing"
    gone(owner)
    assert answer(owner).state == "complete"


def test_it_is_stopped_from_another_window(owner: Person) -> None:
    shell = begun(owner, 4000)
    (work,) = shell["jobs"]
    assert "Tell me a very long story" in owner.omni("ps")
    written = len(answer(owner).text)
    asyncio.run(until(lambda: asyncio.to_thread(lambda: len(answer(owner).text) > written), 60))
    owner.omni("stop", work["id"])
    gone(owner)
    stopped = answer(owner)
    assert (stopped.state, bool(stopped.text)) == ("cancelled", True)


def test_a_download_goes_on_without_its_window_and_is_whole(person: Person) -> None:
    server = SlowServer(gguf_bytes(tensors=[("token_embd.weight", (256, 40_000), 12)]))
    try:
        server.go_on.set()
        person.omni("pull", server.url)
        (brain,) = here(person)
        Path(brain["path"]).unlink()  # so that the shell offers to pull it again
        server.go_on.clear()
        server.half_sent.clear()
        terminal = person.shell()
        terminal.key("F5")
        terminal.wait(lambda screen: "gone" in screen and "p pull" in screen, "what is gone, under the bar")
        terminal.type("p")
        assert server.half_sent.wait(60), terminal.screen
        terminal.vanish()
        (shell,) = [row for row in json.loads(person.omni("ps", "--json")) if row["name"].startswith("shell-")]
        assert [(work["kind"], work["about"]) for work in shell["jobs"]] == [("pull", brain["name"])]
        assert f"a download of {brain['name']}" in person.omni("ps")
        server.go_on.set()
        gone(person)
        assert [one["state"] for one in here(person)] == [brain["state"]]
    finally:
        server.close()


def here(person: Person) -> list[dict[str, Any]]:
    """The brains with a file of their own."""
    return [one for one in json.loads(person.omni("ls", "--here", "--json")) if not one["shares"]]


def test_a_shell_without_work_ends_with_its_window_and_keeps_the_draft(owner: Person) -> None:
    terminal = owner.shell()
    terminal.type("a draft of mine")
    terminal.until("a draft of mine")
    terminal.vanish()
    gone(owner)  # from the keeper: the draft is written last
    asyncio.run(until(lambda: list(owner.home.root.glob("draft-*.md")), 60))
    (draft,) = owner.home.root.glob("draft-*.md")
    assert draft.read_text() == "a draft of mine"
