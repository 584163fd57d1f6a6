"""The sandbox on a kernel, and for a user, that give less: what is left holds, and what does not is said."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from omni.core import landlock
from omni.core.confinement import this_machine
from omni.core.paths import Home
from omni.hands.sandbox import LAYERS
from tests.cli.tools import REAL, ROOT, Cli
from tests.hands.test_sandbox import running
from tests.waiting import until

pytestmark = [
    pytest.mark.skipif(
        landlock.version() < 6 or this_machine() is None, reason="needs Landlock with scopes, and filters"
    ),
    pytest.mark.real,
]

# Becomes the command line that follows, below a filter as containers have one: no namespaces.
UNSHARE = {"x86_64": 272, "aarch64": 97}.get(os.uname().machine, 0)
WITHOUT_NAMESPACES = (
    sys.executable,
    "-c",
    f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from omni.core.confinement import ALLOW, EQUAL, ERRNO, LOAD, NUMBER_AT, RETURN, bpf, install, this_machine
code = [bpf(LOAD, NUMBER_AT), bpf(EQUAL, {UNSHARE}, 0, 1), bpf(RETURN, ERRNO | 1), bpf(RETURN, ALLOW)]
assert install(this_machine(), b"".join(code)) == ""
os.execvp(sys.argv[1], sys.argv[1:])
""",
)
OF_NAMESPACES = {"mount", "uts", "ipc", "processes", "network", "own /proc", "number of processes"}


@pytest.fixture
def cli(home: Home) -> Iterator[Cli]:
    person = home.root.parent / "person"
    (person / "project").mkdir(parents=True)
    cli = Cli(home, REAL, HOME=str(person))
    cli.folder = person / "project"
    yield cli
    cli.close()


def test_without_namespaces_the_lists_hold_and_what_is_missing_is_said(cli: Cli) -> None:
    (cli.folder.parent / "diary.txt").write_text("mine alone")
    ran = cli.run("sandbox", "run", "echo x > ../new; echo x > here; cat ../diary.txt here", prefix=WITHOUT_NAMESPACES)
    assert ran.out == "x\n"
    assert not (cli.folder.parent / "new").exists()
    assert {layer for layer in OF_NAMESPACES if f"not held here: {layer} (" in ran.err} == OF_NAMESPACES
    refused = cli.run("sandbox", "run", "--strict", "echo ran", prefix=WITHOUT_NAMESPACES)
    assert (refused.code != 0, refused.out) == (True, "")
    assert "a wall that was asked for does not hold here" in refused.err


@pytest.mark.long
def test_without_namespaces_every_attempt_but_that_on_their_number_is_stopped(cli: Cli) -> None:
    tried = cli.run("sandbox", "try", "--json", prefix=WITHOUT_NAMESPACES).json
    assert set(tried["missing"]) == OF_NAMESPACES
    assert set(LAYERS) > OF_NAMESPACES
    assert {one["what"] for one in tried["attempts"] if not one["stopped"]} <= {"processes without end"}
    assert len(tried["attempts"]) >= 17


async def test_without_namespaces_no_command_outlives_the_process_that_started_it(cli: Cli) -> None:
    cli.command = [*WITHOUT_NAMESPACES, *REAL]
    asker = cli.start("sandbox", "run", "setsid sleep 74.25 & (setsid sleep 74.25 &); echo on; sleep 74.25")
    assert asker.stdout is not None
    assert await asyncio.to_thread(asker.stdout.readline) == b"on\n"
    [host] = await asyncio.to_thread(cli.processes, "sandbox")
    os.kill(host["pid"], signal.SIGKILL)
    await until(lambda: not running("74.25"))
    assert (await asyncio.to_thread(cli.finish, asker)).code != 0
