"""A plug-in with a pane, a command, a slash command, context, settings, a check, a page, a tool and a process of its own,
added as a person adds it."""

import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omni.core.paths import Home
from omni.core.plugins import Plugins
from tests.plugin_tools import omni

pytestmark = pytest.mark.real

FOLDER = Path(__file__).parent / "plugins" / "almanac"
HOOKS = {
    "omni_commands": ["dates"],
    "omni_panes": ["almanac"],
    "omni_slash_commands": ["remember"],
    "omni_context_providers": ["dates"],
    "omni_settings": ["Almanac"],
    "omni_doctor_checks": ["almanac"],
    "omni_web_routes": ["/"],
    "omni_tools": ["almanac_dates"],
    "omni_process_kinds": ["reader"],
}


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home to which it was added, to be copied."""
    home = Home(tmp_path_factory.mktemp("added") / "home")
    done = omni(home, "plugin", "add", str(FOLDER), "--yes")
    assert done.returncode == 0, done.stderr
    assert "The plug-in almanac: omni-almanac 1.0.0" in done.stderr
    assert "It has no network of its own" in done.stderr
    asked = "almanac.reader runs omni_almanac_reader:run, up to 100 MB, stays 60 s unused; gets nothing of the network"
    assert asked in done.stderr
    return home.root


@pytest.fixture
def almanac(added: Path, home: Home, tmp_path: Path) -> Home:
    """A home that has it, and a file with one date."""
    shutil.copytree(added, home.root, symlinks=True, dirs_exist_ok=True)
    (tmp_path / "dates.txt").write_text("24 December: Ada comes\n")
    home.config.write_text(f'[plugins.almanac]\nfile = "{tmp_path}/dates.txt"\n')
    return home


@pytest.fixture
def plugins(almanac: Home) -> Iterator[Plugins]:
    """The plug-ins of that home in this process, of which nothing stays imported."""
    path = list(sys.path)
    yield Plugins(home=almanac)
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("omni_almanac")]:
        del sys.modules[name]


def test_it_is_listed_without_being_imported(almanac: Home) -> None:
    (row,) = json.loads(omni(almanac, "plugin", "ls", "--json").stdout)
    assert (row["name"], row["version"], row["state"]) == ("almanac", "1.0.0", "ready")
    assert row["hooks"] == HOOKS
    assert row["source"] == str(FOLDER)


def test_its_command_and_its_settings_are_on_the_command_line(almanac: Home, tmp_path: Path) -> None:
    assert omni(almanac, "dates").stdout == "24 December: Ada comes\n"
    assert "plugins.almanac.most" in omni(almanac, "config", "show").stdout
    wrong = omni(almanac, "config", "set", "plugins.almanac.most", "0")
    assert wrong.returncode == 2
    assert "plugins.almanac.most" in wrong.stderr
    assert omni(almanac, "config", "set", "plugins.almanac.most", "7").stdout == "plugins.almanac.most = 7\n"
    assert omni(almanac, "config", "get", "plugins.almanac.most").stdout == "7\n"
    near = omni(almanac, "config", "set", "plugins.almanac.mots", "7")
    assert "plugins.almanac.most" in near.stderr
    almanac.config.write_text("[plugins.almanac]\nmost = 3\n[plugins.gone]\nx = 1\n")
    checked = omni(almanac, "config", "check")
    assert checked.returncode == 0
    assert "[plugins.gone] is of no plug-in" in checked.stderr


def test_its_tool_is_called_by_hand_and_its_arguments_are_proved_first(almanac: Home, tmp_path: Path) -> None:
    called = omni(almanac, "plugin", "call", "almanac_dates", '{"word": "Ada"}')
    assert called.stdout == "24 December: Ada comes\n"
    assert "almanac_dates may touch: read" in called.stderr
    assert omni(almanac, "plugin", "call", "almanac_dates").stdout == "24 December: Ada comes\n"
    wrong = omni(almanac, "plugin", "call", "almanac_dates", '{"word": 5}')
    assert wrong.returncode == 2
    assert "These are no arguments of almanac_dates at #/word" in wrong.stderr
    assert "It takes [word: string]." in wrong.stderr
    assert omni(almanac, "plugin", "call", "almanac_dates", "{").returncode == 2
    near = omni(almanac, "plugin", "call", "almanac_date")
    assert near.returncode == 3
    assert "almanac_dates" in near.stderr


def test_its_process_is_asked_by_hand_and_by_its_command(almanac: Home, tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear all,\nwe meet on 6 May at noon\nand on 24 December: Ada comes\n")
    try:
        asked = omni(almanac, "plugin", "run", "almanac.reader", json.dumps(text.read_text()))
        assert asked.stdout == '"6 May at noon"\n"24 December: Ada comes"\n2\n', asked.stderr
        assert "omni: 3 of 3 lines" in asked.stderr
        read = omni(almanac, "dates", "--in", str(text))
        assert read.stdout == "6 May at noon\n24 December: Ada comes\n", read.stderr
        assert "almanac.reader, idle" in omni(almanac, "ps").stdout
        wrong = omni(almanac, "plugin", "run", "almanac.reader", "5")
        assert wrong.returncode == 5
        assert "almanac.reader: The almanac reads a text." in wrong.stderr
        none = omni(almanac, "plugin", "run", "almanac.raeder")
        assert none.returncode == 3
        assert "almanac.reader" in none.stderr
        assert omni(almanac, "stop", "helper-1").stdout == "helper-1 has ended.\n"
        assert omni(almanac, "plugin", "rm", "almanac", "--yes").returncode == 0
        gone = omni(almanac, "plugin", "run", "almanac.reader", '"x"')
        assert gone.returncode == 3
        assert "No plug-in here was granted a process 'almanac.reader'." in gone.stderr
    finally:
        omni(almanac, "stop", "--all")


def test_a_tool_that_fails_or_returns_no_text_is_named(almanac: Home) -> None:
    module = almanac.plugins / "omni_almanac.py"
    for body, said in {
        "return 5": "it returned int, and a text is expected",
        "raise KeyError(5)": "KeyError: 5",
    }.items():
        module.write_text(f"{module.read_text()}\n\ndef tell(_wanted):\n    {body}\n")
        done = omni(almanac, "plugin", "call", "almanac_dates")
        assert done.returncode == 1
        assert "The plug-in 'almanac' failed in" in done.stderr
        assert said in done.stderr


async def test_its_pane_stands_in_the_rail(plugins: Plugins, almanac: Home) -> None:
    from tests.shell.fakes import sample_services, screen_text, settled, shell

    app = shell(almanac.root, services=sample_services(almanac.root, plugins=plugins))
    async with app.run_test(size=(110, 34)) as pilot:
        await settled(pilot)
        await pilot.press("f10", "g", "a")
        for _ in range(50):
            await settled(pilot)
            if "Ada comes" in screen_text(app):
                break
        assert "24 December: Ada comes" in screen_text(app)


async def test_its_slash_command_runs_in_the_chat(plugins: Plugins, tmp_path: Path) -> None:
    from tests.shell.chat_tools import stage

    (tmp_path / "chat").mkdir()
    async with stage(tmp_path / "chat") as one:
        one.services.plugins = plugins
        one.host.slash_offers = plugins.offers("omni_slash_commands")
        await one.say("/remember 6 January: all leave")
        await one.until(lambda: "Remembered: 6 January" in one.notes)
        await one.say("/remember nothing")
        await one.until(lambda: "begins with no date" in one.notes)
    assert (tmp_path / "dates.txt").read_text() == "24 December: Ada comes\n6 January: all leave\n"


async def test_the_brain_is_told_what_it_provides(plugins: Plugins, tmp_path: Path) -> None:
    from omni.cartridges import Brain
    from omni.chat import ChatService, ChatStore
    from omni.engine import ScriptedEngine

    seen: list[str] = []

    def reply(request: Any) -> str:
        seen.append(request.messages[-1].text)
        return "On the 24th."

    async def ready(_: object) -> Any:
        return brain

    async def opened(_: object) -> ScriptedEngine:
        return engine

    brain, engine = Brain(name="@t/brain", state="ready"), ScriptedEngine(reply)
    library = SimpleNamespace(get=ready, best=ready)
    store = ChatStore(tmp_path / "chat.db")
    chat = ChatService(store, SimpleNamespace(open=opened), library, plugins=plugins)
    made = await chat.create(brain="@t/brain")
    for question in ("When does she come?", "Who?"):
        async for _ in chat.ask(made.id, question):
            pass
    assert "dates (plug-in almanac)\n```\n24 December: Ada comes\n```\n\nWhen does she come?" in seen[0]
    assert seen[1] == "Who?"
    first = (await chat.messages(made.id))[0]
    assert [(each.source, each.lines, each.text) for each in first.context] == [("dates (plug-in almanac)", 1, "")]
    assert not first.attachments
    async for _ in chat.edit(made.id, first.id, "When does Ada come?"):  # it is looked up anew, and stands there once
        pass
    assert seen[2].count("24 December") == 1
    exported = await chat.export(made.id, "markdown")
    assert "dates (plug-in almanac)\n```\n24 December: Ada comes\n```" in exported
    await chat.close()


async def test_the_doctor_asks_it(plugins: Plugins, almanac: Home, tmp_path: Path) -> None:
    from omni import diagnostics

    async def nothing(*_: object) -> list[Any]:
        return []

    services: Any = SimpleNamespace(plugins=plugins, environment=SimpleNamespace(check=nothing))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnostics, "CHECKS", ())
        results = await diagnostics.findings(services)
    by_detail = {each.detail: each.ok for each in results}
    assert by_detail == {str(tmp_path / "dates.txt"): True, "plug-in": True}


async def ask(front: Any, path: str, *, uid: int, query: str = "", method: str = "GET") -> tuple[int, str, str]:
    """Status, body and policy of an answer, for a program of this user id on this machine."""
    from omni.server.protocol import RELAY

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 11434),
        "headers": [(b"host", b"127.0.0.1:11434")],
        "extensions": {RELAY: {"uid": uid, "loopback": True, "tls": False, "local": ("127.0.0.1", 11434)}},
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await front.guard(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(each.get("body", b"") for each in sent[1:]).decode()
    return sent[0]["status"], body, headers.get("content-security-policy", "")


@pytest.fixture
async def front(plugins: Plugins, almanac: Home) -> AsyncIterator[Any]:
    """The server of that home."""
    from omni.server.sessions import Sessions
    from omni.server.start import Front

    services: Any = SimpleNamespace(plugins=plugins, home=almanac)
    made = Front(services, Sessions())
    yield made
    await made.close()


async def test_its_page_is_served_behind_the_guard(front: Any) -> None:
    own = os.getuid()
    status, body, policy = await ask(front, "/plugins/almanac/", uid=own)
    assert (status, "24 December: Ada comes" in body) == (200, True)
    assert "default-src 'none'" in policy
    assert "Ada" not in (await ask(front, "/plugins/almanac/", uid=own, query="with=January"))[1]
    assert '<a href="almanac/">Almanac</a>' in (await ask(front, "/plugins/", uid=own))[1]
    assert (await ask(front, "/plugins/almanac/other", uid=own))[0] == 404
    assert (await ask(front, "/plugins/almanac/", uid=own, method="POST"))[0] == 404
    for path in ("/plugins/almanac/", "/plugins/"):
        assert (await ask(front, path, uid=own + 1))[0] == 403


async def test_a_page_that_fails_is_an_answer_that_names_the_plug_in(
    front: Any, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.load("almanac")
    monkeypatch.setattr(sys.modules["omni_almanac"], "dates", lambda: 1 / 0)
    status, body, _ = await ask(front, "/plugins/almanac/", uid=os.getuid())
    assert status == 500
    assert "The plug-in 'almanac' failed in" in body


@pytest.mark.parametrize(
    "wrong", [{"body": 5}, {"body": ["x"]}, {"media": 5}, {"media": "text/html\r\nX-Other: 1"}, {"status": "x"}]
)
async def test_a_page_of_wrong_types_is_an_answer_that_names_the_plug_in(
    front: Any, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    plugins.load("almanac")
    module = sys.modules["omni_almanac"]
    made = module.WebAnswer
    monkeypatch.setattr(module, "WebAnswer", lambda **given: made(**{**given, **wrong}))
    status, body, _ = await ask(front, "/plugins/almanac/", uid=os.getuid())
    assert status == 500
    assert "The plug-in 'almanac' failed in" in body


def test_check_says_what_is_wrong_by_hook_and_with_its_exit_code(almanac: Home) -> None:
    assert omni(almanac, "plugin", "check", "almanac").returncode == 0
    (pane,) = almanac.plugins.glob("omni_almanac_pane.py")
    pane.write_text("import no_such_module\n")
    done = omni(almanac, "plugin", "check", "--json")
    assert done.returncode == 1
    (tried,) = json.loads(done.stdout)
    assert list(tried["problems"]) == ["omni_panes"]
    assert "no_such_module" in tried["problems"]["omni_panes"]
    (almanac.plugins / "omni_almanac.py").write_text("raise RuntimeError('on purpose')")
    done = omni(almanac, "plugin", "check")
    assert done.returncode == 1
    assert "RuntimeError: on purpose" in done.stdout
    assert omni(almanac, "plugin", "check", "almanca").returncode == 3
    assert omni(almanac, "--help").returncode == 0


def test_it_is_removed_whole(almanac: Home) -> None:
    asked = omni(almanac, "plugin", "rm", "almanac")
    assert asked.returncode == 2  # nobody can be asked
    done = omni(almanac, "plugin", "rm", "almanac", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Removed: omni-almanac 1.0.0" in done.stdout
    assert "No plug-in is installed" in omni(almanac, "plugin", "ls").stdout
    assert not list(almanac.plugin_sets.iterdir())
    assert omni(almanac, "dates").returncode == 2
    assert omni(almanac, "plugin", "rm", "almanac", "--yes").returncode == 3
