"""The npm packages `ollama` and `openai`, as editors and web applications use them, against a listening server."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import EngineError
from omni.engine import ChatRequest, Reply, ScriptedEngine

FOLDER = Path(__file__).parent / "node"
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")


def said(request: ChatRequest) -> Reply:
    question = request.messages[-1].text
    if question == "call":
        return Reply(text='{"name": "weather", "arguments": {"city": "Rome"}}')
    if question == "fail":
        return Reply(text="one two", error=EngineError("It died."), fail_after=1)
    return Reply(text="A word.")


async def run(*command: str, folder: Path, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def test_the_lock_names_no_registry() -> None:
    text = (FOLDER / "package-lock.json").read_text("utf-8")
    assert "resolved" not in text
    assert "://" not in text


@pytest.mark.real
async def test_the_npm_packages(live: Any, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed here, so their packages cannot be tried.")
    for name in ("package.json", "package-lock.json", "check.mjs"):
        shutil.copy(FOLDER / name, tmp_path)
    flags = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
    code, output = await run(npm, "ci", *flags, folder=tmp_path)
    if code and any(sign in output for sign in UNREACHABLE):
        pytest.skip(f"npm cannot reach a registry from here: {output.splitlines()[0]}")
    assert code == 0, output
    async with live(ScriptedEngine(said)) as bench:
        code, output = await run(
            node, "check.mjs", folder=tmp_path, OMNI_URL=bench.url, OMNI_MODEL="@omni/test", NO_PROXY="*", no_proxy="*"
        )
    assert code == 0, output
    assert "both packages are content" in output
