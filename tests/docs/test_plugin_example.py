"""docs/plugins.md: its plug-ins are added as the page says, and do what it shows."""

import re
import shlex
from pathlib import Path

import pytest

from omni.core import hooks
from omni.core.paths import Home
from omni.core.plugins import HOOKS
from tests.cartridges.conftest import gguf_bytes
from tests.docs.examples import DOCS, ROOT, examples, write
from tests.plugin_tools import omni

PAGE = (DOCS / "plugins.md").read_text("utf-8")
LINES = [block.split("```")[0].splitlines() for block in PAGE.split("```console\n")[1:]]


def undated(text: str) -> str:
    """The text of whatever day."""
    return re.sub(r"\d{4}-\d\d-\d\d", "DAY", text)


def test_every_hook_and_every_limit_stands_there() -> None:
    assert set(re.findall(r"^\| `(omni_\w+)` \|", PAGE, re.MULTILINE)) == set(HOOKS)
    told = dict(re.findall(r"^\| (.+?) \|.* (\d+) \|$", PAGE, re.MULTILINE))
    names = {"`SlashCommand.run`": "slash", "`ContextProvider.provide`": "context", "`DoctorCheck.run`": "doctor"}
    names |= {"`WebRoute.run`": "web", "`PluginTool.run`": "tool", "importing it": "load", "a hook": "hook"}
    assert {names[name]: float(seconds) for name, seconds in told.items()} == {
        name: hooks.LIMITS[name] for name in names.values()
    }


def test_the_long_example_is_the_one_that_the_tests_try() -> None:
    shown = {name: text.partition("\n")[2] for name, text in examples("plugins.md").items()}
    files = ROOT / "tests" / "plugins" / "almanac"
    for path in files.glob("*.*"):
        assert shown[f"almanac/{path.name}"] == path.read_text("utf-8")


@pytest.mark.real
def test_the_shortest_one_is_added_checked_and_removed(home: Home, tmp_path: Path) -> None:
    write("plugins.md", tmp_path)
    for command in LINES[0]:
        words = [word.replace("./", f"{tmp_path}/") for word in shlex.split(command.removeprefix("$ "))[1:]]
        done = omni(home, *words, *(["--yes"] if words[1] != "check" else []))
        assert done.returncode == 0, done.stderr
    assert len(LINES[0]) == 3


@pytest.mark.real
def test_the_example_works_as_shown(home: Home, tmp_path: Path) -> None:
    write("plugins.md", tmp_path)
    share = tmp_path / "share"
    share.mkdir()
    (share / "parrot.gguf").write_bytes(gguf_bytes())
    first, *transcript = [line.removeprefix("$ ") for line in LINES[2]]
    done = omni(home, *[word.replace("./", f"{tmp_path}/") for word in shlex.split(first)[1:]])
    assert done.returncode == 0, done.stderr
    shown = omni(home, "--help")
    assert "share  List what is on the share" in shown.stdout
    assert len(transcript) == 6
    try:
        for command, answer in zip(transcript[::2], transcript[1::2], strict=True):
            done = omni(home, *shlex.split(command)[1:], OMNI_SHARE=str(share))
            assert done.returncode == 0, done.stderr
            assert undated(answer) in undated(done.stdout + done.stderr), command
        again = omni(home, "share", OMNI_SHARE=str(share))
        assert again.stdout == "share:parrot  here\n"
        lost = omni(home, "pull", "share:nothing", OMNI_SHARE=str(share))
        assert lost.returncode == 3
        assert "is not on the share" in lost.stderr
        safe = omni(home, "--safe", "pull", "share:parrot", OMNI_SHARE=str(share))
        assert safe.returncode != 0
    finally:
        omni(home, "stop", "--all")
