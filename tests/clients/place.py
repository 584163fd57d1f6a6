"""A server in a place without a network, clients' environments, and programs that run there."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from omni.core.errors import OmniError
from omni.core.paths import Home
from omni.environment.prepare import prepare
from omni.environment.progress import Terminal
from tests.clients.page import Client
from tests.docs.examples import ROOT
from tests.e2e.conftest import OMNI, Person
from tests.fixtures_starter import STEADY_NAME

NAME = "@omni/coder"  # as the page calls the brain, whichever it is here
ADDRESS = "http://127.0.0.1:11434"
_APART = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
_NEEDED = 600_000_000  # bytes on the disk; the largest environment takes 370 MB
# What docs/api.md tells people to export; some clients do more when they see a key.
_USUAL = {
    "OPENAI_BASE_URL": f"{ADDRESS}/v1",
    "OPENAI_API_KEY": "none",
    "OLLAMA_HOST": ADDRESS,
    "ANTHROPIC_BASE_URL": ADDRESS,
    "ANTHROPIC_API_KEY": "none",
}


class Ran(NamedTuple):
    """How a program ended, what it said, and which names it asked for."""

    code: int
    said: str
    complained: str
    asked: frozenset[str]


class Place:
    """Where a server listens that nobody outside can reach, and whose programs reach nobody outside."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._asked, self._process = folder / "asked", process
        self._enter = ["nsenter", "--target", str(process.pid), "--user", "--net", "--mount", "--preserve-credentials"]

    def run(self, command: list[str], folder: Path, environment: Mapping[str, str], *, seconds: float = 300) -> Ran:
        """Run a program to its end, in `folder`, which is its home, too."""
        before = self._names()
        done = subprocess.run(
            [*self._enter, "env", f"--chdir={folder}", *command],
            env={"HOME": str(folder), "LANG": "C.UTF-8", "PATH": os.environ["PATH"], **_USUAL, **environment},
            capture_output=True, text=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr, frozenset(self._names()[len(before) :]))

    def _names(self) -> list[str]:
        return self._asked.read_text().split() if self._asked.exists() else []


@contextmanager
def place(gguf: Path) -> Iterator[Place]:
    """`omni serve` with one brain, which says the same every time. Skips where the kernel gives no such place."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("unshare and nsenter (util-linux) are needed to keep the clients from the network.")
    tried = subprocess.run([*_APART, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"The kernel gives no user namespace, so clients could reach the network: {tried.stderr.strip()}")
    with (
        tempfile.TemporaryDirectory(prefix="omni-clients-", ignore_cleanup_errors=True) as name,
        contextlib.ExitStack() as ends,
    ):
        folder = Path(name)
        person = Person(folder)
        ends.callback(person.close)
        person.owns(gguf)
        person.home.config.write_text(
            f'{person.home.config.read_text()}\n[serve.aliases]\n"{NAME}" = "{STEADY_NAME}"\n'
        )
        person.omni("stop", "--all")  # the keeper is to start in there
        said = folder / "said"
        with said.open("wb") as out:
            process = subprocess.Popen(
                [*_APART, sys.executable, str(Path(__file__).with_name("nowhere.py")), str(folder), *OMNI, "serve"],
                env=person.environment, stdin=subprocess.PIPE, stdout=out, stderr=out,
            )  # fmt: skip
        ends.enter_context(process)
        assert process.stdin is not None
        ends.callback(process.stdin.close)
        end = time.monotonic() + 60
        while f"Omni serves at {ADDRESS}\n" not in said.read_text():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.05)
        yield Place(folder, process)


def brain_file(name: str, home: Home) -> Path | None:
    """The file of the brain `name`, or of the one that this person would be answered by; None where there is none."""
    environment = {**os.environ, "OMNI_HOME": str(home.root), "OMNI_ENVIRONMENT": "own"}
    done = subprocess.run([*OMNI, "ls", "--json"], env=environment, capture_output=True, check=True, timeout=60)
    here = [each for each in json.loads(done.stdout) if each["state"] == "installed" and not each["embeds"]]
    chosen = [each for each in here if (each["name"] == name if name else each["default"])]
    if name and not chosen:
        pytest.exit(f"BRAIN={name} is not here. Here are: {', '.join(each['name'] for each in here)}", returncode=4)
    return Path(chosen[0]["path"]) if chosen else None


def installed(client: Client, home: Home, cache: Path) -> dict[str, str]:
    """Install what the client's lock pins, unless it is; returns the variables that its programs need."""
    if client.is_node:
        return {"NODE_PATH": str(_node_packages(client, cache))}
    try:
        environment = prepare(home, ROOT, f"clients/{client.name}", Terminal(), needed=_NEEDED)
    except OmniError as error:
        pytest.skip(f"{client.name} cannot be installed: {error.message} {error.hint}")
    return {"PATH": f"{environment}/bin:{os.environ['PATH']}"}


def _node_packages(client: Client, cache: Path) -> Path:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed here, so its packages cannot be tried.")
    folder = cache / f"{client.name}-{hashlib.sha256(client.lock.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as name:
            new = Path(name) / "new"
            shutil.copytree(client.lock.parent, new)
            flags = ("--ignore-scripts", "--no-audit", "--no-fund")
            done = subprocess.run(["npm", "ci", *flags], cwd=new, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"{client.name} cannot be installed: {done.stderr.strip().splitlines()[0]}")
            with contextlib.suppress(OSError):  # another run was faster
                new.rename(folder)
    return folder / "node_modules"
