"""docs/api.md: its requests are sent as they stand there and answered as it shows; its programs run."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from omni.cartridges import Projector
from omni.core.errors import BadFile, ContextOverflow, NotFound, OmniError
from omni.core.paths import Home
from omni.engine import ChatRequest, ScriptedEngine
from omni.engine.http import WorkerGone
from omni.engine.proving import unfollowed
from omni.engine.refusals import meant
from omni.schemas.proofs import NO_JSON
from omni.server.anthropic import problems as anthropic_problems
from omni.server.errors import BadParameter, Busy, headers_of, status_of
from omni.server.openai import problems as openai_problems
from omni.server.openai import responses
from tests.docs.examples import DOCS
from tests.image_tools import png
from tests.server.server_tools import FakeServices, base, brain, listening, server_over

PAGE = (DOCS / "api.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:11434"
PROGRAMS = dict(re.findall(r"^```python\n# (\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
PRINTS = {
    "openai": "Hello.",
    "ollama": "Hello.\n",
    "anthropic": "Hello.\n",
    "tools": "weather {'city': 'Oslo'}\nIt is cold.\n",
    "images": "A cat.\n",
    "responses": "Red. Blue.\n",
}
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ANSWERS = {
    "Say hello.": "Hello.",
    "What is this?": "A cat.",
    "Name a colour.": "Red.",
    "Another one.": "Blue.",
    "Which city is the capital of Norway?": '{"city": "Oslo"}',
    "How is the weather in Oslo?": '{"name": "weather", "arguments": {"city": "Oslo"}}',
    "3 degrees": "It is cold.",
}


def script(request: ChatRequest) -> str:
    return ANSWERS.get(request.messages[-1].text, "I see.")


def test_what_a_page_of_elsewhere_reaches_is_listed() -> None:
    from omni.server.app import routes

    (listed,) = re.findall(r"reaches these, and nothing else:(.*?)Its `keep_alive`", PAGE, re.DOTALL)
    said = {path for path in re.findall(r"`(/[^`]*)`", listed) if "…" not in path}
    open_to_all = [each for each in routes() if each.reach in ("anyone", "chat") and each.status != 501]
    assert {re.sub(r"\{(\w+):\w+\}", r"{\1}", each.path) for each in open_to_all} == said


@pytest.fixture
async def url(home: Home) -> AsyncIterator[str]:
    from omni.server.app import create_app

    seeing = msgspec.structs.replace(base(), projector=Projector(path="/models/mmproj.gguf", size=1000))
    engine = ScriptedEngine(script, schema=True, vision=True)
    services = FakeServices(engine, brains=(brain("@omni/smollm2", base=seeing),), home=home)
    services.set("serve", aliases={"gpt-4o": "@omni/smollm2"})
    server = server_over(services)
    async with listening(create_app(server)) as address:
        yield address
    await server.close()


async def run(*command: str, folder: Path | None = None, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=120, cwd=folder, env=inherited | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(answer: str) -> re.Pattern[str]:
    """What an answer must be: as it is shown, with anything where the page has an ellipsis."""
    return re.compile(".*".join(re.escape(part) for part in answer.strip().split("…")), re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0].split("11434")[1].split()[0])
async def test_a_request_is_answered_as_shown(url: str, block: str) -> None:
    for part in block.removeprefix("$ ").split("\n$ "):
        command, _, answer = part.partition("\n")
        said = await run("bash", "-c", command.replace(ADDRESS, url))
        assert shown(answer).fullmatch(said.strip()), said


@pytest.mark.real
@pytest.mark.parametrize("name", PRINTS)
async def test_a_program_prints_what_it_should(url: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(png())
    said = await run(
        sys.executable,
        "-c",
        PROGRAMS[name],
        folder=tmp_path,
        OPENAI_BASE_URL=f"{url}/v1",
        OPENAI_API_KEY="none",
        OLLAMA_HOST=url,
        ANTHROPIC_BASE_URL=url,
        ANTHROPIC_API_KEY="none",
    )
    assert said == PRINTS[name]


def test_every_program_is_run() -> None:
    assert set(PROGRAMS) == set(PRINTS)
    assert len(BLOCKS) == PAGE.count("```console")


def test_every_path_is_explained() -> None:
    from omni.server.app import routes

    hidden = {"/"}
    paths = {route.path.replace(":path", "") for route in routes()} - hidden
    explained = set(re.findall(r"`(/[\w./{}-]+)`", PAGE))
    there = {route.path.replace(":path", "") for route in routes() if route.status != 501} - hidden
    assert there - explained == set()
    assert explained - paths == set()


HAPPENED: dict[str, OmniError] = {
    "A field, a schema or an image is wrong": BadParameter("No.", param="n"),
    "The brain's chat template does not take the conversation: it is quoted": meant(
        500, {"message": "Jinja Exception: No."}
    ),
    "Too long (OpenAI's code is `context_length_exceeded`)": ContextOverflow("No.", needed=9, allocated=8),
    "The brain is not installed": NotFound("No."),
    "The brain's file is broken, or its template can never be used": BadFile("No."),
    "No answer followed the schema in three tries": unfollowed(NO_JSON),
    "The engine refuses what Omni asked of it, or has no memory for it": meant(400, {"message": "Field 'x': no"}),
    "The worker ended, ran out of room, or failed to compute": WorkerGone("No."),
    "The brain is still being loaded": meant(503, {"message": "Loading model"}),
    "The places and the queue are taken": Busy("No."),
}


def test_the_table_of_failures_is_true() -> None:
    (table,) = re.findall(r"^\| What happened .*?\n\|[-|]+\n(.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.split("\n")]
    assert [row[0] for row in rows] == list(HAPPENED)
    for what, status, of_openai, of_response, of_anthropic, again in rows:
        error = HAPPENED[what]
        assert str(status_of(error)) == status
        problem = openai_problems.error_of(error).error
        assert f"`{problem.type}`" == of_openai
        assert ("`context_length_exceeded`" in what) == (problem.code == "context_length_exceeded")
        assert of_response in (f"`{responses.failure_of(error).code}`", "")
        assert f"`{anthropic_problems.error_of(error).error.type}`" == of_anthropic
        headers = headers_of(error)
        tried = status_of(error) in (429, *range(500, 600)) and headers.get("X-Should-Retry") != "false"
        assert {"yes": True, "no": False}[again] == tried


def test_every_status_is_explained() -> None:
    (table,) = re.findall(r"^\| Status \|.*?\n\|[-|]+\n(.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
    said = {int(number) for row in table.split("\n") for number in re.findall(r"\d+", row.split("|")[1])}
    known = {status_of(error) for error in HAPPENED.values()}
    assert known | {401, 403, 408, 413, 431, 501, 507} == said


def test_every_command_is_one() -> None:
    from omni.cli.main import omni

    for line in re.findall(r"^omni (.+)$", PAGE, re.MULTILINE):
        command: Any = omni
        context = click.Context(command)
        for word in line.split():
            if not isinstance(command, click.Group) or word.startswith("-"):
                break
            subcommand = command.get_command(context, word)
            assert subcommand is not None, line
            command = subcommand
        options = {option for each in command.params for option in each.opts}
        assert {word for word in line.split() if word.startswith("--")} <= options, line


def test_the_aliases_are_understood(tmp_path: Path) -> None:
    from omni.core.settings import Settings

    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    path = tmp_path / "config.toml"
    path.write_text(block)
    assert Settings.load(path).serve.aliases == {"gpt-4o": "@omni/smollm2"}
