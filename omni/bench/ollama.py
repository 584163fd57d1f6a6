"""An Ollama that is installed here, asked by its own command.

Its server listens on a port of this machine, to which no process of Omni's behind the wall can speak. So a small `/bin/sh` from
before the wall starts the `ollama` command by a fixed list of orders; it gets a path and a word, and opens no socket itself.
"""

import asyncio
import os
import re
import secrets
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from omni.bench.rounds import MeasuredAnswer, resident
from omni.core.errors import EngineError, UsageError
from omni.core.files import write_atomic

LOCAL = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - what it listens on, not we
_MOST = 1 << 20  # characters of an answer
# $1 the command, $2 the name of the model that is made for this, $3 the folder with what is read and said.
_SCRIPT = r"""
set -f; trap '' INT QUIT TSTP HUP; made=
while IFS= read -r order; do
  case $order in
  version) "$1" --version 2>/dev/null ;;
  show) "$1" show "$(cat "$3/source")" >/dev/null 2>"$3/said" ;;
  create) "$1" create "$2" -f "$3/Modelfile" >/dev/null 2>"$3/said"; code=$?; made=yes; (exit $code) ;;
  run) "$1" run --verbose "$2" <"$3/prompt" 2>"$3/said" ;;
  esac
  printf '\000%s\n' "$?"
done
[ -z "$made" ] || "$1" rm "$2" >/dev/null 2>&1
rm -rf "$3"
"""


def not_asked(environment: Mapping[str, str]) -> str:
    """Why an Ollama is not asked although it is here: one that is told to speak to another machine would send the prompt there."""
    host = environment.get("OLLAMA_HOST", "").strip()
    name = re.sub(r"^\w+://", "", host).rstrip("/")
    name = (
        name[1:].partition("]")[0] if name.startswith("[") else name if name.count(":") > 1 else name.partition(":")[0]
    )
    if name in LOCAL or re.fullmatch(r"127(\.\d{1,3}){3}", name):
        return ""
    return f"OLLAMA_HOST names another machine ({name[:60]}), and nothing of this leaves yours"


class Outside:
    """The shell from before the wall, which removes `folder` when it ends."""

    def __init__(self, command: str, folder: Path) -> None:
        self.name = f"omni-bench-{secrets.token_hex(4)}"  # nobody's, so that nobody's is replaced or removed
        self.folder = folder
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "omni-bench", command, self.name, os.fspath(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            close_fds=True,
        )

    def write(self, file: str, text: str) -> None:
        """Lay down what an order reads."""
        write_atomic(self.folder / file, text)

    async def ask(self, order: str) -> tuple[str, str, float]:
        """Carry out an order: what it wrote, what it said beside, and seconds until the first letter. Raises EngineError when
        it fails."""
        return await asyncio.to_thread(self._ask, order)

    def close(self) -> None:
        """Let it clean up and go. It does the same by itself when this process is killed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, order: str) -> tuple[str, str, float]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise UsageError("The shell has no pipes.")
        began, first, written = time.monotonic(), 0.0, bytearray()
        try:
            stdin.write(order.encode() + b"\n")
            stdin.flush()
        except OSError as error:
            raise EngineError("The shell that asks Ollama has gone.") from error
        while b"\0" not in written:
            piece = os.read(stdout.fileno(), 65536)
            if not piece:
                raise EngineError("The shell that asks Ollama has gone.")
            written += piece
            if not first and piece.strip().strip(b"\0"):
                first = time.monotonic() - began
            if len(written) > _MOST:
                raise EngineError("Ollama's answer has no end.")
        while not written.endswith(b"\n"):
            written += os.read(stdout.fileno(), 16)
        said, _, code = written.partition(b"\0")
        beside = (self.folder / "said").read_text("utf-8", "replace") if (self.folder / "said").is_file() else ""
        if code.strip() != b"0":
            lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", beside).strip().splitlines()
            raise EngineError(f"`ollama {order}` failed: {lines[-1].strip()[:200] if lines else 'it did not say why'}")
        return said.decode("utf-8", "replace"), beside, first


class Ollama:
    """An Ollama whose server runs. `source` is the name of a model that it has, or with `imports` the path of a file. For the
    rounds it makes a model of its own from that, which the shell takes away after them."""

    name = "ollama"

    def __init__(self, outside: Outside, source: str, *, context: int, tokens: int, imports: bool) -> None:
        self._outside, self._source, self._imports = outside, source, imports
        self._context, self._tokens = context, tokens
        self.version = ""

    async def start(self) -> None:
        """See `Contestant`. Raises EngineError when its server is not there, or does not take the brain."""
        said, _, _ = await self._outside.ask("version")
        match = re.search(r"version is (\S+)", said)
        self.version = match[1] if match else ""
        if not self._imports:
            self._outside.write("source", self._source)
            await self._outside.ask("show")  # what is not there would be fetched from its registry
        values = {"num_ctx": self._context, "num_predict": self._tokens, "temperature": 0, "seed": 0}
        lines = [f"FROM {self._source}", *(f"PARAMETER {name} {value}" for name, value in values.items())]
        self._outside.write("Modelfile", "\n".join(lines) + "\n")
        await self._outside.ask("create")

    async def ask(self, prompt: str, tokens: int) -> MeasuredAnswer:  # noqa: ARG002 - stands in the model that was made
        """See `Contestant`."""
        self._outside.write("prompt", prompt)
        _, said, first = await self._outside.ask("run")
        return MeasuredAnswer(
            prompt_tokens=round(_figure(said, r"prompt eval count:\s+(\d+)")),
            prompt_speed=_figure(said, r"prompt eval rate:\s+([\d.]+)"),
            answer_tokens=round(_figure(said, r"(?m)^eval count:\s+(\d+)")),
            answer_speed=_figure(said, r"(?m)^eval rate:\s+([\d.]+)"),
            first_token=first,
        )

    async def memory(self) -> int:
        """Of its server and all that it has loaded, also for others."""
        import psutil  # type: ignore[import-untyped] # it ships no types

        return resident(
            [one.pid for one in psutil.process_iter(["name"]) if str(one.info["name"]).startswith("ollama")]
        )

    async def close(self) -> None:
        """The shell cleans up when it ends."""


def _figure(said: str, pattern: str) -> float:
    match = re.search(pattern, said)
    if match is None:
        raise EngineError(
            "Ollama's command does not tell its figures.", hint="This reads what `ollama run --verbose` says."
        )
    return float(match[1])
