"""From the start of the shell until rail, composer and status line stand and a key is echoed, beside an empty app.

    python -m benchmarks.start             this interpreter, straight into the shell
    python -m benchmarks.start HOME        the whole of `python3 -m omni run` with a home that is set up

Both programs run in a pseudo-terminal of 120 x 36, in turns, with the same interpreter; the best of several counts.
Memory is the proportional set size of the process that draws, when the key is echoed.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 9
KEY = "§".encode()
PATIENCE = 30.0


def once(command: list[str], environment: dict[str, str], marks: list[bytes]) -> tuple[float, float, float]:
    """Seconds until the marks stand, seconds until the key is echoed, MiB."""
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execvpe(command[0], command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    seen, stands, typed_at = b"", 0.0, 0
    try:
        while time.perf_counter() - began < PATIENCE:
            if not select.select([terminal], [], [], 0.05)[0]:
                continue
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
            if not stands and all(mark in seen for mark in marks):
                stands, typed_at = time.perf_counter() - began, len(seen)
                os.write(terminal, KEY)
            elif stands and KEY in seen[typed_at:]:
                return stands, time.perf_counter() - began, memory(pid)
        raise SystemExit(f"{command} never stood; it wrote {seen[-2000:]!r}")
    finally:
        os.kill(pid, signal.SIGTERM)
        drain(terminal)
        os.close(terminal)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def drain(terminal: int) -> None:
    """Let it restore its terminal and say goodbye."""
    end = time.perf_counter() + 0.5
    while time.perf_counter() < end and select.select([terminal], [], [], 0.1)[0]:
        try:
            os.read(terminal, 65536)
        except OSError:
            return


def memory(pid: int) -> float:
    """Proportional set size in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            home = Path(sys.argv[1]).resolve()
            python = str(home / "venv" / "bin" / "python")
            ours = ["python3", "-m", "omni", "run"]
        else:
            home, python = Path(folder), sys.executable
            (home / "config.toml").write_text("[ui]\nready = true\n")
            ours = [python, "-c", "from omni.core.paths import Home; from omni.shell.start import run;"
                    "run(Home.from_environment().ensure())"]  # fmt: skip
        environment["OMNI_HOME"] = str(home)
        empty = [python, str(ROOT / "benchmarks" / "empty_app.py")]
        results: dict[str, list[tuple[float, float, float]]] = {"empty app": [], "omni": []}
        for _ in range(ROUNDS + 1):  # the first pair warms the caches and is left out
            results["empty app"].append(once(empty, environment, [b"System"]))
            results["omni"].append(once(ours, environment, [b"System", b"sk, or type", b"doors"]))
    best = {name: [min(column) for column in zip(*rows[1:], strict=True)] for name, rows in results.items()}
    print(f"{'':12}{'stands':>10}{'key echoed':>12}{'memory':>12}")
    for name, (stands, echoed, pss) in best.items():
        print(f"{name:12}{stands * 1000:>7.0f} ms{echoed * 1000:>9.0f} ms{pss:>8.1f} MiB")
    ratio = [ours / theirs for ours, theirs in zip(best["omni"], best["empty app"], strict=True)]
    print(f"{'ratio':12}{ratio[0]:>10.2f}{ratio[1]:>12.2f}{ratio[2]:>12.2f}   budget 1.35 echoed, 1.5 memory")


if __name__ == "__main__":
    main()
