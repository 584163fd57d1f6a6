"""Every budget that applies so far, each beside its reference: `make bench`, or `python -m benchmarks [NAME...]`.

Best of several, one run; nothing is asserted. The starter brain is fetched once, as a user would fetch it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = {
    "start": "second start until a key is echoed, and memory, against an empty Textual app (<= 1.35 x, <= 1.5 x)",
    "processes": "memory of keeper, airlock and starter together while idle (<= 14 MiB)",
    "cli": "`omni --help` (<= 80 ms)",
    "transcript": "CPU time per loop turn while four answers stream (p99 <= 8 ms); 1,000 messages against 20 (<= 1.5 x)",
    "engine": "first token with nothing loaded (<= 1.5 s), beside busy neighbours, 8 chats against one (>= 1.6 x)",
    "engines": "the worker: prompts, edits, restarts, memory, busy neighbours; --against an earlier checkout compares",
    "histories": "a turn with a system text in the middle of its history against one without (<= 1.1 x)",
    "schemas": "answers under real and risky schemas: silently wrong (0), refused (<= 3 %), right (>= 90 % of the whole)",
    "schema_turns": "first token under a schema against a free one (<= 1.2 x); tools beside a schema (>= 5 of 6 calls)",
    "server": "the server against the bare worker: tokens a second (>= 0.95 x), first token (+ <= 5 ms), connections",
    "serve_soak": "64 chats at a time for a minute: no error, no growth, and places shared fairly",
    "hostile": "200 hostile requests: a worker's own memory (<= its ceiling, held by the kernel), and its neighbours",
    "web": "a conversation of 1,000 messages in a browser: script and layout a frame (<= 8 ms), memory",
    "air_gap": "F12 until every door is closed and verified (<= 50 ms)",
}
NEEDS_BRAIN = {"engine", "engines", "histories", "hostile", "schemas", "schema_turns", "server", "serve_soak"}


def main() -> int:
    """Run the named benchmarks, or all."""
    wanted = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in wanted if name not in BENCHMARKS]:
        sys.stderr.write(f"There is no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}.\n")
        return 2
    code = 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in wanted:
        print(f"\n== {name}: {BENCHMARKS[name]}", flush=True)
        arguments = [str(starter())] if name in NEEDS_BRAIN else []
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
        code |= subprocess.run(command, check=False, env=environment, cwd=ROOT).returncode
    return 1 if code else 0


def starter() -> Path:
    """The starter's file, from a home of its own that stays for the next run."""
    home = Path(tempfile.gettempdir()) / f"omni-benchmarks-{os.getuid()}"
    environment = {**os.environ, "OMNI_HOME": str(home), "OMNI_ENVIRONMENT": "own"}
    omni = [sys.executable, str(ROOT / "omni" / "__main__.py")]
    subprocess.run([*omni, "pull", "@omni/smollm2"], check=True, env=environment)
    subprocess.run([*omni, "stop", "--all"], check=True, env=environment, stdout=subprocess.DEVNULL)
    return next((home / "cartridges" / "blobs").glob("sha256-*"))


if __name__ == "__main__":
    sys.exit(main())
