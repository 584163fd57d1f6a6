"""docs/clients.md: what can be seen without its clients. `make test-clients` runs the examples; see tests/clients/run.py."""

import json
import re

import pytest

from omni.environment.requirements import read_lock
from tests.clients.page import LOCKS, Client, clients, rows
from tests.clients.run import FORMS


@pytest.fixture(params=clients().values(), ids=list(clients()))
def client(request: pytest.FixtureRequest) -> Client:
    param = request.param
    assert isinstance(param, Client)
    return param


def test_every_lock_belongs_to_a_client_and_every_client_is_in_the_table() -> None:
    locks = {path.stem if path.is_file() else path.name for path in LOCKS.iterdir()}
    assert locks == set(clients()) == set(rows())


def test_every_example_is_of_a_kind_whose_form_is_known(client: Client) -> None:
    assert {use.partition("-")[0] for use in client.uses} - {"home"} <= set(FORMS)
    assert len({block.ending for block in (*client.ways.values(), *client.uses.values())}) == 1


def test_every_python_example_can_be_compiled(client: Client) -> None:
    for name, block in {**client.ways, **client.uses}.items():
        if block.ending == "py":
            compile(block.text, name, "exec")


def test_the_lock_pins_what_the_page_installs_and_names_no_address(client: Client) -> None:
    text = client.lock.read_text("utf-8")
    assert "://" not in text
    version = rows()[client.name].version
    if client.is_node:
        packages = json.loads(text)["packages"]
        wanted = client.install.split()[2:]
        assert set(packages[""]["dependencies"]) == set(wanted)
        assert all("integrity" in each for name, each in packages.items() if name)
        assert packages[f"node_modules/{wanted[0]}"]["version"] == version
    else:
        pins = {(pin.name, pin.version) for pin in read_lock(client.lock)}  # refuses what has no hash
        wanted = [re.sub(r"\[.*", "", each.strip('"')) for each in client.install.split()[2:]]
        assert set(wanted) <= {name for name, _ in pins}
        assert (wanted[0], version) in pins
