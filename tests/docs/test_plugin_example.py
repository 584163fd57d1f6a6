"""docs/plugins.md: its package is built, installed, and its command, source and engine do what the page shows."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from omni.core.paths import Home
from tests.cartridges.conftest import gguf_bytes
from tests.docs.examples import DOCS
from tests.plugin_tools import omni

PAGE = (DOCS / "plugins.md").read_text("utf-8")


def undated(text: str) -> str:
    """The text of whatever day."""
    return re.sub(r"\d{4}-\d\d-\d\d", "DAY", text)


@pytest.mark.real
def test_the_example_works_as_shown(installed: Callable[[str], Home], tmp_path: Path) -> None:
    home = installed("plugins.md")
    share = tmp_path / "share"
    share.mkdir()
    (share / "parrot.gguf").write_bytes(gguf_bytes())
    shown = omni(home, "--help")
    assert "share  List what is on the share" in shown.stdout
    transcript = [line.removeprefix("$ ") for line in PAGE.split("```console\n")[1].split("```")[0].splitlines()][1:]
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
