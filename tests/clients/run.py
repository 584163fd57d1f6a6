"""Every example of docs/clients.md, with the versions that the locks pin, where no packet leaves the machine.

`make test-clients`, `make test-clients CLIENT=langchain BRAIN=@omni/smollm2`. No part of the suite, by its name: it takes
two gigabytes of other people's programs, and minutes. What is asked of an answer is its form, never the wit of a small brain.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from omni.core.paths import Home
from tests.clients.page import Block, Client, Row, clients, rows
from tests.clients.place import Place, Ran, brain_file, installed, place

pytestmark = pytest.mark.timeout(600)
HOME = Home.from_environment()  # the person's, before the tests hide it
RUNNERS = {"py": ["python"], "mjs": ["node"], "sh": ["bash", "-e"]}
NOBODY = Row(version="", hosts=frozenset(), switch={})


def is_text(said: str) -> bool:
    return bool(said.strip())


def comes_in_pieces(said: str) -> bool:
    return said.count("|") > 1 and is_text(said.replace("|", ""))


def is_after_a_call(said: str) -> bool:
    return re.search(r"^weather of .+\n\s*\S", said, re.MULTILINE) is not None


def is_object_of(*names: str) -> Callable[[str], bool]:
    return lambda said: set(json.loads(said[said.index("{") :])) == set(names)


# What each kind of example prints; the kind is the first word of its name.
FORMS: dict[str, Callable[[str], bool]] = {
    "answer": is_text,
    "stream": comes_in_pieces,
    "tools": is_after_a_call,
    "structured": is_object_of("name", "country"),
    "both": lambda said: is_after_a_call(said) and is_object_of("city", "degrees")(said.partition("\n")[2]),
    "embed": lambda said: int(said) > 0,
}


class Example(NamedTuple):
    """What a client does, and the way by which it connected."""

    client: Client
    use: str
    way: str = ""

    def __str__(self) -> str:
        return f"{self.client.name}-{self.use}" + (f"-{self.way}" if self.way else "")

    @property
    def block(self) -> Block:
        return self.client.uses[self.use]

    @property
    def text(self) -> str:
        return (self.client.ways[self.way].text + "\n" if self.way else "") + self.block.text


def chosen() -> list[Client]:
    """The client that CLIENT names, or all."""
    known, name = clients(), os.environ.get("OMNI_TEST_CLIENT", "")
    if name and name not in known:
        raise pytest.UsageError(f"CLIENT={name} is not on the page. There are: {', '.join(known)}")
    return [known[name]] if name else list(known.values())


def examples(client: Client) -> list[Example]:
    """All pairs; a block that connects by itself is one alone."""
    return [
        Example(client, use, way)
        for use, block in client.uses.items()
        if use != "home"
        for way in (client.ways if not use.startswith("embed") else [""])
    ]


@pytest.fixture(scope="session")
def nowhere(request: pytest.FixtureRequest) -> Iterator[Place]:
    """The place, with the brain that BRAIN names, the person's own, or the starter."""
    gguf = brain_file(os.environ.get("OMNI_TEST_BRAIN", ""), HOME) or request.getfixturevalue("starter_gguf")
    with place(gguf) as opened:
        yield opened


@pytest.fixture
def run(nowhere: Place, pytestconfig: pytest.Config, tmp_path: Path) -> Callable[..., Ran]:
    """Runs an example to its end."""

    def ran(example: Example, **environment: str) -> Ran:
        needs = installed(example.client, HOME, pytestconfig.cache.mkdir("omni-clients"))
        if "NODE_PATH" in needs and not (tmp_path / "node_modules").exists():  # modules are looked for beside the file
            (tmp_path / "node_modules").symlink_to(needs["NODE_PATH"])
        file = tmp_path / f"example.{example.block.ending}"
        file.write_text(example.text, "utf-8")
        return nowhere.run([*RUNNERS[example.block.ending], file.name], tmp_path, {**needs, **environment})

    return ran


def test_there_is_no_way_out(nowhere: Place, tmp_path: Path) -> None:
    shown = nowhere.run(["cat", "/proc/net/dev", "/proc/net/route", "/proc/net/ipv6_route"], tmp_path, {})
    devices = re.findall(r"^\s*(\w+):", shown.said, re.MULTILINE)
    assert devices == ["lo"]
    assert {line.split()[-1] for line in shown.said.splitlines() if re.match(r"[0-9a-f]{32} ", line)} <= {"lo"}
    assert not re.search(r"^\w+\t[0-9A-F]{8}\t", shown.said, re.MULTILINE), "no route of IPv4"
    assert nowhere.run(["getent", "hosts", "www.example.org"], tmp_path, {}).asked == {"www.example.org"}


@pytest.mark.parametrize("example", [each for client in chosen() for each in examples(client)], ids=str)
def test_the_example_works(run: Callable[..., Ran], example: Example) -> None:
    done = run(example)
    assert done.code == 0, done.complained
    assert FORMS[example.use.partition("-")[0]](done.said), done.said
    assert done.asked <= rows().get(example.client.name, NOBODY).hosts, "the table says nothing of these"


@pytest.mark.parametrize("client", [each for each in chosen() if rows()[each.name].hosts], ids=lambda each: each.name)
def test_the_client_calls_whom_the_table_says_and_the_switch_ends_that(run: Callable[..., Ran], client: Client) -> None:
    said = rows()[client.name]
    example = Example(client, "home") if "home" in client.uses else examples(client)[0]
    assert run(example).asked == said.hosts
    switched = run(example, **said.switch)
    assert switched.code == 0, switched.complained
    assert switched.asked == frozenset()
