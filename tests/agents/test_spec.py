"""Agents as files: what they say, what is wrong with one, and whose are taken."""

from pathlib import Path

import pytest

from omni.agents import AgentBook, read_agent
from omni.core.errors import BadFile, NotFound, OmniError
from omni.core.paths import Home, resources

GOOD = "---\nabout: Looks.\ntools: [read_file, search]\nsteps: 5\n---\n\nYou look.\n"


def written(folder: Path, text: str | bytes, name: str = "mine.md") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def test_a_file_says_what_an_agent_is(tmp_path: Path) -> None:
    agent = read_agent(written(tmp_path, GOOD))
    assert (agent.name, agent.about, agent.tools, agent.steps) == ("mine", "Looks.", ("read_file", "search"), 5)
    assert (agent.prompt, agent.forced) == ("You look.", True)
    assert read_agent(written(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n"))).prompt == "You look."


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("You look.", "mine.md", "has no front matter"),
        (
            GOOD.replace("steps: 5", "steps: many"),
            "mine.md",
            "mine.md, line 4, column 8: steps: expected a whole number",
        ),
        (GOOD.replace("steps: 5", "stebs: 5"), "mine.md", "there is no key 'stebs'"),
        (GOOD.replace("search", "serch"), "mine.md", "names a tool 'serch', which there is not."),
        (GOOD.replace("about: Looks.\n", ""), "mine.md", "needs the key 'about'"),
        (GOOD, "My Agent.md", "is no name of an agent"),
        (b"---\nabout: \xff\n---\n", "mine.md", "no text in UTF-8"),
        (GOOD + "x" * 70_000, "mine.md", "is larger than 64 kB"),
        (GOOD.replace("about: Looks.", "about: *a"), "mine.md", "mine.md"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str | bytes, name: str, words: str) -> None:
    with pytest.raises(OmniError) as raised:
        read_agent(written(tmp_path, text, name))
    assert words in raised.value.message


def test_those_that_come_with_omni_can_be_read_and_a_persons_own_win(home: Home) -> None:
    book = AgentBook(home)
    shipped, wrong = book.all()
    assert wrong == []
    assert {agent.name for agent in shipped} == {path.stem for path in resources("agents").glob("*.md")}
    assert {"coder", "test-fixer", "explainer", "reviewer"} <= {agent.name for agent in shipped}
    written(home.agents(), GOOD, "coder.md")
    written(home.agents(), "nothing", "broken.md")
    assert book.get("coder").about == "Looks."
    assert "broken" in book.names()
    assert [type(error) for error in book.all()[1]] == [BadFile]
    with pytest.raises(NotFound, match="no agent 'codr'") as raised:
        book.get("codr")
    assert "coder" in raised.value.hint


def test_an_agent_that_only_reads_has_no_tool_that_changes() -> None:
    from omni.agents.spec import tools_named

    explainer = read_agent(resources("agents") / "explainer.md")
    assert {touch for tool in tools_named(explainer.tools, "") for touch in tool.touches} == {"read"}
