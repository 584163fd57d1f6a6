"""docs/clients.md as data: the clients, how each connects, what each does then, and whom it calls."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.docs.examples import DOCS, ROOT

LOCKS = ROOT / "requirements" / "clients"
_BLOCK = re.compile(
    r"^```(?:python|js|sh)\n(?:#|//) ([\w-]+)/([\w/-]+)\.(py|mjs|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_INSTALL = re.compile(r"^```sh\n((?:pip|npm) install .+)\n```$", re.MULTILINE)
_ROW = re.compile(r"^\| ([\w-]+) \| ([\d.]+) \|(.*?)\|(.*?)\|(.*?)\|$", re.MULTILINE)
_QUOTED = re.compile(r"`([^`]+)`")


class Block(NamedTuple):
    """One block: what follows its first line, and the end of the name of the file that it would be."""

    text: str
    ending: str


class Client(NamedTuple):
    """One section of the page."""

    name: str
    install: str
    ways: dict[str, Block]
    uses: dict[str, Block]

    @property
    def lock(self) -> Path:
        """What pins it."""
        return LOCKS / self.name / "package-lock.json" if self.is_node else LOCKS / f"{self.name}.txt"

    @property
    def is_node(self) -> bool:
        """Whether npm installs it."""
        return self.install.startswith("npm ")


class Row(NamedTuple):
    """What the table says of a client: the hosts that it asks for, and the variables that keep it from that."""

    version: str
    hosts: frozenset[str]
    switch: dict[str, str]


@cache
def clients() -> dict[str, Client]:
    """All clients by their names."""
    by_name: dict[str, Client] = {}
    for section in _text().split("\n## ")[1:]:
        (install,) = _INSTALL.findall(section)
        ways: dict[str, Block] = {}
        uses: dict[str, Block] = {}
        for block in _BLOCK.finditer(section):
            client, name, ending, text = block.groups()
            kind, _, way = name.rpartition("/")
            where = ways if kind == "with" else uses
            where[way] = Block(text, ending)
        by_name[client] = Client(client, install, ways, uses)
    return by_name


def rows() -> dict[str, Row]:
    """The table, by client."""
    return {
        name: Row(version, frozenset(_QUOTED.findall(hosts)), dict(each.split("=") for each in _QUOTED.findall(switch)))
        for name, version, hosts, _, switch in _ROW.findall(_text())
    }


def _text() -> str:
    return (DOCS / "clients.md").read_text("utf-8")
