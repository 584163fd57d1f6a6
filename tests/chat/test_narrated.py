"""An answer with calls, as a person reads it, and as it is exported and read again."""

import json
from typing import Any

from omni.chat import narrated
from omni.core.messages import TextPart, ToolCallPart, ToolResultPart
from omni.engine import ScriptedEngine
from tests.chat.test_tool_loop import Tools, call


def test_calls_stand_between_the_words_in_one_line_each() -> None:
    parts = (
        TextPart(text="Let me look.\n\n"),
        ToolCallPart(id="a", name="read_file", arguments='{"path": "src/a.py", "first_line": 3}'),
        ToolCallPart(id="b", name="run_command", arguments=json.dumps({"command": "echo `x`\n" * 9})),
        ToolResultPart(call_id="a", outcome="done", seconds=0.01),
        ToolResultPart(call_id="b", outcome="failed", seconds=1.25),
        TextPart(text="It is blue."),
        ToolCallPart(id="c", name="list_files", arguments="{}"),
    )
    assert narrated(parts) == (
        "Let me look.\n\n- read_file `src/a.py`: ok\n- run_command `(81 characters)`: failed, 1.2 s\n\nIt is blue.\n\n"
        "- list_files: no result yet"
    )
    assert narrated((TextPart(text="Plain."),)) == "Plain."


async def test_calls_and_results_survive_an_export(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([call("look", at="a"), "It is blue."]))
    made = await service.create()
    await collect(service.ask(made.id, "What colour?", tools=Tools(lambda *_: "blue as the sky")))
    assert "- look `a`: ok" in await service.export(made.id)
    again = await service.load(await service.export(made.id, "json"))
    before, after = [(await service.messages(one))[-1].parts for one in (made.id, again.id)]
    assert before == after
    assert [hit.message for hit in await service.search("sky")] == []  # what tools return is not searched
