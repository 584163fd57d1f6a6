"""Who asks the kernel for a network socket in a whole session: the airlock, and nobody else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from omni.core.paths import Home

ROOT = Path(__file__).resolve().parents[2]
OMNI = f"{sys.executable} -I {ROOT}/omni/__main__.py"
SESSION = f"{OMNI} pull @omni/smollm2 && {OMNI} chat hello && {OMNI} ps --json; {OMNI} stop --all"
# A server that is asked over TCP by a client that may: who asks the server is no part of Omni.
SERVING = f"""{OMNI} pull "$BRAIN" >&2 || exit 1
{OMNI} serve --port 0 > "$SAID" &
{sys.executable} -I -c '
import json, pathlib, sys, time, urllib.request
said = pathlib.Path(sys.argv[1])
while "OLLAMA_HOST=" not in said.read_text():
    time.sleep(0.05)
address = said.read_text().split("OPENAI_BASE_URL=")[1].split()[0]
model = json.load(urllib.request.urlopen(address + "/models"))["data"][0]["id"]
ask = {{"model": model, "messages": [{{"role": "user", "content": "Hi"}}], "max_tokens": 3}}
sys.exit(not json.load(urllib.request.urlopen(address + "/chat/completions", json.dumps(ask).encode()))["choices"])
' "$SAID" client-of-the-test; code=$?
kill -INT $!; wait $!; {OMNI} stop --all; exit $code
"""

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]


def test_only_the_airlock_opens_network_sockets(home: Home, tmp_path: Path) -> None:
    """A download, an answer and a listing under strace, down to the last grandchild."""
    roles, askers, families = traced(SESSION, home, tmp_path)
    assert "airlock" in roles.values()
    assert "worker" in roles.values()
    assert askers == {"airlock"}, f"network sockets were asked for by {askers}"
    assert families <= {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}


def test_a_server_leaves_listening_to_the_airlock(home: Home, tmp_path: Path, starter_gguf: Path) -> None:
    """The server has a Unix socket; what it is asked over the network comes through the airlock."""
    said = tmp_path / "said"
    said.touch()
    roles, askers, _ = traced(SERVING, home, tmp_path, BRAIN=str(starter_gguf), SAID=str(said))
    assert {"front end", "airlock", "worker", "client"} <= set(roles.values())
    assert askers == {"airlock", "client"}, f"network sockets were asked for by {askers}"


def traced(session: str, home: Home, folder: Path, **variables: str) -> tuple[dict[str, str], set[str], set[str]]:
    """What `parse` finds in the trace of a session in the shell."""
    log = folder / "strace"
    command = ["strace", "-f", "-s", "400", "-o", str(log), "-e", "trace=socket,execve,clone,clone3,fork,vfork"]
    environment = {**os.environ, "OMNI_HOME": str(home.root), "OMNI_ENVIRONMENT": "own", **variables}
    done = subprocess.run(
        [*command, "sh", "-c", session],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    if "PTRACE_TRACEME" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("this machine does not let strace trace")
    assert done.returncode == 0, done.stderr
    return parse(log.read_text("utf-8", "replace"))


def parse(text: str) -> tuple[dict[str, str], set[str], set[str]]:
    """The role of each process, the roles that asked for a network socket, and the families that were asked for."""
    roles: dict[str, str] = {}
    askers: set[str] = set()
    families: set[str] = set()
    pending: list[tuple[str, str]] = []
    for line in text.splitlines():
        process, _, call = line.partition(" ")
        call = call.strip()
        if started := re.search(r"(?:clone3?|v?fork)(?:\(| resumed).*\) = (\d+)$", call):
            roles.setdefault(started[1], roles.get(process, "other"))
        elif call.startswith("execve("):
            for name, mark in (
                ("airlock", "omni.airlock.process"),
                ("keeper", "omni.keeper.process"),
                ("worker", "omni.engine.worker"),
            ):
                if mark in call and '"-c", "import sys' in call:
                    roles[process] = name
                    break
            else:
                if "/bin/sh" in call and "omni-starter" in call:
                    roles[process] = "starter"
                elif "client-of-the-test" in call:
                    roles[process] = "client"
                elif "__main__.py" in call:
                    roles[process] = "front end"
        elif asked := re.match(r"socket\((AF_\w+)", call):
            families.add(asked[1])
            pending.append((process, asked[1]))
    # A child may run before its parent's clone returns in the log, so who asked is looked up at the end.
    for process, family in pending:
        if family in ("AF_INET", "AF_INET6"):
            askers.add(roles.get(process, "unknown"))
    return roles, askers, families
