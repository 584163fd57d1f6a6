"""A program that behaves as llama.cpp's server does, without a model; and wheels that carry one."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any, NoReturn

from omni.core.paths import Home
from omni.runtimes import Runtime, add, offered

ROOT = Path(__file__).resolve().parents[1]
HELP = """
----- common params -----
-m,    --model FNAME                    model path to load
-t,    --threads N                      number of threads
-tb,   --threads-batch N                number of threads
-c,    --ctx-size N                     size of the prompt context
-b,    --batch-size N                   logical maximum batch size
-ub,   --ubatch-size N                  physical maximum batch size
-kvu,  --kv-unified, -no-kvu, --no-kv-unified
-np,   --parallel N                     number of server slots
-cram, --cache-ram N                    set the maximum cache size
-lv,   --verbosity, --log-verbosity N   Set the verbosity threshold
                                         - 1: error
                                         - 2: warning
--jinja, --no-jinja                     whether to use jinja
--host HOST                             ip address to listen, or bind to an UNIX socket
--api-key-file FNAME                    path to file containing API keys
--slots, --no-slots                     expose slots monitoring endpoint
--embedding, --embeddings               restrict to only support embedding use case
--lora FNAME                            path to LoRA adapter (use comma-separated values to load multiple adapters)
--lora-init-without-apply               load LoRA adapters without applying them
--chat-template JINJA_TEMPLATE          set custom jinja chat template
"""

_SERVER = """#!{python}
import json, os, signal, sys, threading
sys.path.insert(0, {root!r})
words = sys.argv[1:]
if "--version" in words:
    print("version: 4242 (0badcafe)")
    sys.exit()
if "--help" in words:
    print({help!r})
    sys.exit()
def after(flag):
    return words[words.index(flag) + 1]
with open(after("--api-key-file")) as file:
    key = file.read().strip()
told = {{"words": words, "pid": os.getpid(), "key hidden": key not in " ".join([*words, *os.environ.values()])}}
told["status"] = open("/proc/self/status").read()
told["environment"] = sorted(os.environ)
print("TOLD", json.dumps(told), file=sys.stderr, flush=True)
{before}
from omni.engine.scripted_worker import serve
kept = serve(after("--host"), key, {{"slots": int(after("--parallel")), "context": int(after("--ctx-size")), **{settings!r}}})
threading.Event().wait()
"""


def fake_server(path: Path, *, before: str = "", help_text: str = HELP, **settings: int | str) -> Path:
    """Write a server to `path`, which tells in its log what it saw; `before` runs before it serves."""
    text = _SERVER.format(
        python=sys.executable,
        root=str(ROOT),
        help=help_text,
        before=before,
        settings=settings,
    )
    path.write_text(text)
    path.chmod(0o755)
    return path


async def added(home: Home, program: Path) -> Runtime:
    """Add a program to a home, as a person does."""
    return add(home, await offered(home, str(program), _no_airlock))


def _no_airlock() -> NoReturn:
    raise AssertionError("a file needs no network")


def told_by(home: Home) -> dict[str, Any]:
    """What such a server saw, the last that was started in a home; nothing where none was."""
    logs = sorted(home.logs.glob("*.log"), key=lambda log: log.stat().st_mtime_ns)
    lines = [line for log in logs for line in log.read_text().splitlines() if line.startswith("TOLD ")]
    return dict(json.loads(lines[-1].removeprefix("TOLD "))) if lines else {}


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """A wheel with these files."""
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    return path
