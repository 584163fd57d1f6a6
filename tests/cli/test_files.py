"""What other programs left on the machine, at the command line: what can be loaded is offered, the rest says why."""

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omni.cli.printers import TextPrinter
from omni.core.events import BrainReplaced, TextDelta
from omni.core.paths import Home
from tests.cartridges.conftest import gguf_bytes
from tests.cartridges.test_finders import Ollama
from tests.cli.conftest import Call
from tests.cli.tools import REAL, Cli

VISION = (("v.blk.0.attn_q.weight", (8,), 0), ("mm.input_projection.weight", (8,), 0))


@pytest.fixture
def ollama(home: Home) -> Ollama:
    return Ollama(home.root.parent / ".ollama" / "models")


def kept_for_its_own_engine(ollama: Ollama) -> None:
    ollama.model(
        "registry.ollama.ai/library/gemma3/4b",
        gguf_bytes(general__architecture="gemma3", gemma3__block_count=34, more=VISION),
    )


@pytest.mark.real  # starts processes
def test_the_list_offers_what_can_be_loaded_and_says_of_the_rest_why(call: Call, ollama: Ollama) -> None:
    ollama.model("registry.ollama.ai/library/fine/1b", gguf_bytes())
    kept_for_its_own_engine(ollama)
    offered, _, rest = call("ls", "--here").out.partition("Here, but cannot be asked:\n")
    assert "fine:1b" in offered
    assert "gemma3:4b" not in offered
    assert rest.startswith("gemma3:4b  unloadable: Ollama keeps it in a form of its own engine: what it sees ")
    assert rest.endswith("           omni pull hf.co/ggml-org/gemma-3-4b-it-GGUF\n")
    (brain,) = [one for one in call("ls", "--json").json if one["name"] == "gemma3:4b"]
    assert (brain["state"], brain["helps"]) == ("unloadable", "omni pull hf.co/ggml-org/gemma-3-4b-it-GGUF")
    facts = dict(line.split(maxsplit=1) for line in call("show", "gemma3:4b").out.splitlines() if line[0] != " ")
    assert facts["state"].startswith("unloadable: Ollama keeps it in a form of its own engine")
    assert "speed" not in facts
    doctor = call("doctor").out
    assert " can be asked; 1 cannot be loaded, and `omni ls` says why" in doctor
    assert "gemma3" not in doctor


@pytest.mark.real  # starts processes
def test_a_file_that_cannot_be_loaded_is_told_when_it_is_added(call: Call, tmp_path: Path) -> None:
    (tmp_path / "eyes.gguf").write_bytes(gguf_bytes(general__architecture="gemma3", more=VISION))
    said = call("pull", str(tmp_path / "eyes.gguf"))
    assert said.err.splitlines()[1].startswith("omni: it cannot be asked: what it sees or hears with is inside of the ")


@pytest.mark.real  # starts processes
def test_a_template_that_takes_the_place_of_a_broken_one_is_shown(call: Call, tmp_path: Path) -> None:
    broken = "{{ '<|im_start|>' + messages[0].content + '<|im_end|>'"
    (tmp_path / "odd.gguf").write_bytes(gguf_bytes(tokenizer__chat_template=broken))
    assert "cannot be asked" not in call("pull", str(tmp_path / "odd.gguf")).err
    shown = call("show", "@me/odd").out
    assert "template      that of its family; the file's own cannot be read (line 1: expected }})" in shown


@pytest.mark.real  # starts processes
def test_the_list_fits_a_terminal_and_cuts_no_reason(cli: Cli, ollama: Ollama) -> None:
    kept_for_its_own_engine(ollama)
    screen = cli.terminal("ls", "--here")
    assert screen.end() == 0
    lines = [line.rstrip() for line in screen.screen.splitlines()]
    assert "omni pull hf.co/ggml-org/gemma-3-4b-it-GGUF" in screen.screen
    assert max(map(len, lines)) <= 80
    assert "takes nothing" in screen.screen.replace("\r\n           ", " ")


async def test_who_takes_the_place_of_a_default_is_told_on_the_error_stream(capsys: Any) -> None:
    async def events() -> Any:
        yield BrainReplaced(brain="@me/small", failed="@me/large", reason="It has no layers.")
        yield TextDelta(text="Hello")

    await TextPrinter(reasoning=False).turn(events())
    said = capsys.readouterr()
    assert said.out == "Hello\n"
    assert said.err == "omni: @me/large cannot be loaded, so that @me/small answers: It has no layers.\n"


@pytest.fixture
def large(home: Home, starter_gguf: Path) -> Iterator[Cli]:
    """The starter, and a larger brain whose header is fine and whose tensors are not of the shapes that it says."""
    runner = Cli(home, REAL)
    path = home.root.parent / "large.gguf"
    path.write_bytes(gguf_bytes(bare=True, ffn=10**9 // 144))
    os.truncate(path, path.stat().st_size + 10**9 + (1 << 20))
    for brain in (path, starter_gguf):
        assert runner.run("pull", str(brain)).code == 0
    yield runner
    runner.close()


@pytest.mark.real
def test_a_default_that_cannot_be_loaded_gives_way_with_one_line(large: Cli) -> None:
    (default,) = [one["name"] for one in large.run("ls", "--json").json if one["default"]]
    assert default == "@me/large"
    said = large.run("chat", "Say hello.")
    assert said.code == 0
    assert len(said.out.split()) >= 1
    (line,) = [line for line in said.err.splitlines() if "cut at the longest answer" not in line]  # as it may be
    assert line.startswith("omni: @me/large cannot be loaded, so that ")
    assert "large.gguf" in line
    again = large.run("chat", "Say hello.")
    assert (again.code, "cannot be loaded" in again.err) == (0, False)


@pytest.mark.real
def test_a_named_brain_that_cannot_be_loaded_never_becomes_another(large: Cli) -> None:
    said = large.run("chat", "--brain", "@me/large", "Say hello.")
    assert said.code != 0
    assert said.out == ""
    assert "large.gguf" in said.err
    assert "so that" not in said.err


@pytest.mark.real
def test_the_first_question_of_a_new_home_finds_what_ollama_has(cli: Cli, ollama: Ollama, starter_gguf: Path) -> None:
    ollama.model("registry.ollama.ai/library/smollm2/135m", starter_gguf.read_bytes())
    said = cli.run("chat", "Say hello.")
    assert (said.code, "cannot be loaded" in said.err, bool(said.out)) == (0, False, True)


@pytest.mark.real
def test_a_first_server_answers_with_what_ollama_has(cli: Cli, ollama: Ollama, starter_gguf: Path) -> None:
    ollama.model("registry.ollama.ai/library/smollm2/135m", starter_gguf.read_bytes())
    kept_for_its_own_engine(ollama)
    server = cli.start("serve", "--port", "0")
    assert server.stdout is not None
    address = server.stdout.readline().decode().removeprefix("Omni serves at ").strip()

    def asked(path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(f"{address}{path}", data, timeout=100) as answer:
            return json.load(answer)

    assert [one["name"] for one in asked("/api/tags")["models"] if ":" in one["name"]] == ["smollm2:135m"]
    assert "smollm2:135m" in [one["id"] for one in asked("/v1/models")["data"]]
    answer = asked("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4})
    assert answer["choices"][0]["message"]["content"]
    named = asked(
        "/api/chat", {"model": "smollm2:135m", "messages": [{"role": "user", "content": "Hi"}], "stream": False}
    )
    assert named["message"]["content"]
